"""The example of the README; runs in any folder: python examples/quickstart.py."""

from pathlib import Path

from bharsdk import Recognizer

recognizer = Recognizer("asl-coffee-prgcn")
# Or 0, the first camera, or a video file.
source = Path(__file__).parent / "data" / "sessions" / "s2-a.bhar-session"

for result in recognizer.run(source):
    for event in result.events:
        print(event)
