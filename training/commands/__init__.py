"""The commands of ``bhar-train``: one module each, with ``add`` (its options) and ``run``.

Modules import torch and what needs it inside ``run``, so that ``--help`` is there at once.
"""
