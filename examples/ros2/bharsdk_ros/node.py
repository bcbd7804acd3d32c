"""The node: parameters, topics, a service and the life cycle. What it does is in ``recognition``.

::

    ros2 run bharsdk_ros node --ros-args -p image_topic:=/camera/image_raw
    ros2 lifecycle set /bharsdk configure
    ros2 lifecycle set /bharsdk activate
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from bharsdk import BackendMissingError, BharError, Landmarker, RunState, Status

try:
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
    from rclpy.qos import QoSProfile, QoSReliabilityPolicy
    from sensor_msgs.msg import Image
    from std_msgs.msg import String
    from std_srvs.srv import SetBool
except ImportError as error:
    missing = BackendMissingError(
        f"{error.name} is not installed: it comes with ROS 2 (Humble or later, rclpy is in no"
        " package index): install that, then  source /opt/ros/<distribution>/setup.bash"
    )
    if __name__ != "__main__":
        raise missing from error
    print(f"bharsdk_ros: error: {missing}", file=sys.stderr)
    sys.exit(missing.exit_code)

from bharsdk_ros.images import to_bgr
from bharsdk_ros.messages import NS_PER_S, StampedResult, event_messages, landmarks_message
from bharsdk_ros.recognition import Recognition, Settings

LATEST = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
"""Of images: an old one is worth nothing. Fits publishers of either reliability."""
EVENTS = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.RELIABLE)
QUIET_S = 5.0
"""Complaints about images come at most so often."""


class BharNode(LifecycleNode):
    """``bharsdk``: sensor_msgs/Image in, ``~/events`` and ``~/landmarks`` out, ``~/enable``.

    make_landmarker: what finds the joints; default MediaPipe.
    """

    def __init__(self, make_landmarker: Callable[[], Landmarker] | None = None) -> None:
        super().__init__("bharsdk")
        defaults = Settings()
        self.declare_parameter("model", defaults.model)
        self.declare_parameter("backend", defaults.backend)
        self.declare_parameter("max_persons", defaults.max_persons)
        self.declare_parameter("score_threshold", defaults.score_threshold)
        self.declare_parameter("image_topic", "image_raw")
        self.declare_parameter("publish_landmarks", True)
        self._recognition = Recognition(
            self._publish, self._complain, self._show, make_landmarker=make_landmarker
        )
        self._events: Any = None
        self._landmarks: Any = None
        self._images: Any = None
        self._enable: Any = None

    # ---- the life cycle: FAILURE leaves the state as it was -------------------------------------

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Load the model; make publishers and the service."""
        settings = Settings(
            self._parameter("model"),
            self._parameter("backend"),
            self._parameter("max_persons"),
            self._parameter("score_threshold"),
        )
        if not self._did(lambda: self._recognition.configure(settings)):
            return TransitionCallbackReturn.FAILURE
        self._events = self.create_lifecycle_publisher(String, "~/events", EVENTS)
        if self._parameter("publish_landmarks"):
            self._landmarks = self.create_lifecycle_publisher(String, "~/landmarks", LATEST)
        self._enable = self.create_service(SetBool, "~/enable", self._set_enabled)
        return super().on_configure(state)

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Switch the publishers on, then subscribe."""
        result = super().on_activate(state)
        if result != TransitionCallbackReturn.SUCCESS:
            return result
        if not self._did(self._recognition.activate):
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        topic = self._parameter("image_topic")
        self._images = self.create_subscription(Image, topic, self._on_image, LATEST)
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """The other way round: what ends with it is still published."""
        self._unsubscribe()
        self._did(self._recognition.deactivate)
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Let go of the model, publishers and service."""
        self._did(self._recognition.cleanup)
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        """From any state."""
        self._unsubscribe()
        self._recognition.shutdown()
        self._release()
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        """Also where nobody called for a shutdown."""
        self._recognition.shutdown()
        super().destroy_node()

    def _did(self, transition: Callable[[], None]) -> bool:
        try:
            transition()
        except BharError as error:
            self.get_logger().error(str(error))
            return False
        return True

    def _unsubscribe(self) -> None:
        if self._images is not None:
            self.destroy_subscription(self._images)
            self._images = None

    def _release(self) -> None:
        for publisher in (self._events, self._landmarks):
            if publisher is not None:
                self.destroy_lifecycle_publisher(publisher)
        if self._enable is not None:
            self.destroy_service(self._enable)
        self._events = self._landmarks = self._enable = None

    # ---- messages ----------------------------------------------------------------------------

    def _on_image(self, message: Image) -> None:
        try:
            image = to_bgr(
                message.data,
                height=message.height,
                width=message.width,
                encoding=message.encoding,
                step=message.step,
            )
        except BharError as error:
            self.get_logger().error(str(error), throttle_duration_sec=QUIET_S)
            return
        stamp = message.header.stamp
        stamp_ns = stamp.sec * NS_PER_S + stamp.nanosec
        self._recognition.on_image(image, stamp_ns, message.header.frame_id)

    def _set_enabled(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        response.success = self._did(lambda: self._recognition.set_enabled(request.data))
        recognizes = "recognizes" if self._recognition.is_running else "does not recognize"
        response.message = f"{self._recognition.state.value}, {recognizes}"
        return response

    def _publish(self, stamped: StampedResult) -> None:
        for text in event_messages(stamped):
            self._events.publish(String(data=text))
        if self._landmarks is not None and not stamped.result.is_final:
            self._landmarks.publish(String(data=landmarks_message(stamped)))

    def _complain(self, error: Exception) -> None:
        self.get_logger().error(f"recognition ended: {error}: call ~/enable to start it again")

    def _show(self, status: Status) -> None:
        if status.state is RunState.DEGRADED:
            self.get_logger().warning(str(status), throttle_duration_sec=QUIET_S)
        elif status.state is not RunState.ERROR:  # which _complain tells
            self.get_logger().info(str(status))

    def _parameter(self, name: str) -> Any:
        return self.get_parameter(name).value


def main(argv: Sequence[str] | None = None) -> int:
    """Spin until Ctrl-C or ``ros2 lifecycle set /bharsdk shutdown``."""
    rclpy.init(args=argv)
    node = BharNode()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
