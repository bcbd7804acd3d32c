"""What ``colcon build`` installs."""

from __future__ import annotations

from setuptools import setup

NAME = "bharsdk_ros"

setup(
    name=NAME,
    version="0.1.0",
    packages=[NAME],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    description="Body-and-hand actions from an image topic: a lifecycle node around bharsdk.",
    license="Apache-2.0",
    entry_points={"console_scripts": ["node = bharsdk_ros.node:main"]},
)
