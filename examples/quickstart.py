"""The example of the README. Run it in the folder of the project: python examples/quickstart.py."""

from bharsdk import Recognizer

recognizer = Recognizer("asl-coffee-prgcn")
source = "examples/data/sessions/s2-a.bhar-session"  # or 0, the first camera, or a video file

for result in recognizer.run(source):
    for event in result.events:
        print(event)
