"""What was seen: skeletons, the landmarks of a frame or a clip, boxes, movement, who is who.

Imports values and files. Everything that handles landmarks uses it.
"""
