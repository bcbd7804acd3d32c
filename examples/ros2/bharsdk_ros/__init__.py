"""A ROS 2 node around bharsdk: ``node`` knows ROS, all other modules do not."""
