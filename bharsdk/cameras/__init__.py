"""Pictures in time order: cameras, network addresses, videos and folders of pictures.

Imports values, files and process, never landmarks. The pipeline and sources use it. Importing it
loads no OpenCV; opening a camera or a video does.
"""
