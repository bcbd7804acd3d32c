"""As much of rclpy and its messages as the node uses, written after rclpy's own source.

The real one is in no package index. It cannot show that the node works under ROS: only that it does
what it means to, in the order that ROS asks for.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

__all__ = ["LifecycleNode", "install"]


class TransitionCallbackReturn(enum.Enum):
    SUCCESS = 0
    FAILURE = 1
    ERROR = 2


@dataclass(frozen=True)
class QoSProfile:
    depth: int
    reliability: str


@dataclass
class Publisher:
    """Passes on what is published while the node is active, as a lifecycle publisher does."""

    topic: str
    qos: QoSProfile
    is_enabled: bool = False
    sent: list[str] = field(default_factory=list)

    def publish(self, message: Any) -> None:
        if self.is_enabled:
            self.sent.append(message.data)


class Logger:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, text: str, **_: float) -> None:
        self.lines.append(("info", text))

    def warning(self, text: str, **_: float) -> None:
        self.lines.append(("warning", text))

    def error(self, text: str, **_: float) -> None:
        self.lines.append(("error", text))


class LifecycleNode:
    """set_parameters: what ``--ros-args -p`` would give."""

    set_parameters: dict[str, Any] = {}  # noqa: RUF012 (replaced, never changed)

    def __init__(self, name: str) -> None:
        self.name = name
        self.parameters: dict[str, Any] = {}
        self.publishers: list[Publisher] = []
        self.subscriptions: list[SimpleNamespace] = []
        self.services: list[SimpleNamespace] = []
        self.logger = Logger()

    def declare_parameter(self, name: str, default: Any) -> None:
        self.parameters[name] = self.set_parameters.get(name, default)

    def get_parameter(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(value=self.parameters[name])

    def get_logger(self) -> Logger:
        return self.logger

    def create_lifecycle_publisher(self, kind: type, topic: str, qos: QoSProfile) -> Publisher:
        self.publishers.append(Publisher(topic, qos))
        return self.publishers[-1]

    def destroy_lifecycle_publisher(self, publisher: Publisher) -> None:
        self.publishers.remove(publisher)

    def create_subscription(
        self, kind: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile
    ) -> SimpleNamespace:
        self.subscriptions.append(SimpleNamespace(topic=topic, callback=callback, qos=qos))
        return self.subscriptions[-1]

    def destroy_subscription(self, subscription: SimpleNamespace) -> None:
        self.subscriptions.remove(subscription)

    def create_service(self, kind: type, name: str, callback: Any) -> SimpleNamespace:
        self.services.append(SimpleNamespace(name=name, callback=callback))
        return self.services[-1]

    def destroy_service(self, service: SimpleNamespace) -> None:
        self.services.remove(service)

    def destroy_node(self) -> None:
        self.publishers.clear()

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS

    on_cleanup = on_shutdown = on_configure

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        for publisher in self.publishers:
            publisher.is_enabled = True
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        for publisher in self.publishers:
            publisher.is_enabled = False
        return TransitionCallbackReturn.SUCCESS


@dataclass
class String:
    data: str = ""


def install(monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any]) -> None:
    """Make it importable as rclpy until the test ends; nodes get ``parameters``."""
    monkeypatch.setattr(LifecycleNode, "set_parameters", parameters)
    service = SimpleNamespace(Request=object, Response=object)
    names: dict[str, dict[str, Any]] = {
        "rclpy": {},
        "rclpy.executors": {"ExternalShutdownException": type("External", (Exception,), {})},
        "rclpy.lifecycle": {
            "LifecycleNode": LifecycleNode,
            "State": SimpleNamespace,
            "TransitionCallbackReturn": TransitionCallbackReturn,
        },
        "rclpy.qos": {
            "QoSProfile": QoSProfile,
            "QoSReliabilityPolicy": SimpleNamespace(BEST_EFFORT="best", RELIABLE="reliable"),
        },
        "sensor_msgs.msg": {"Image": SimpleNamespace},
        "std_msgs.msg": {"String": String},
        "std_srvs.srv": {"SetBool": service},
    }
    for parent in ("sensor_msgs", "std_msgs", "std_srvs"):
        names.setdefault(parent, {})
    for name, values in names.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
