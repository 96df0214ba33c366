"""Announcements on an EventBridge bus of the owner's account."""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from tollkeeper_core.domain.announcements import Announcement, AnnouncementError, iso

if TYPE_CHECKING:
    from types_boto3_events.client import EventBridgeClient
    from types_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SOURCE = "tollkeeper"

#: PutEvents takes ten entries at most.
_BATCH = 10
_TIMEOUT_S = 3


class EventBus:
    """Implements ports.Announcements. ``bus``: its name or ARN. ``region``: boto3's own if None."""

    def __init__(self, bus: str, region: str | None = None) -> None:
        self._bus = bus
        self._region = region

    def publish(self, stage: str, announcements: Sequence[Announcement]) -> None:
        """See ports.Announcements."""
        for first in range(0, len(announcements), _BATCH):
            entries = [self._entry(stage, a) for a in announcements[first : first + _BATCH]]
            try:
                answer = self._client.put_events(Entries=entries)
            except (BotoCoreError, ClientError) as error:
                raise AnnouncementError(f"EventBridge: {type(error).__name__}") from error
            refused = [e["ErrorCode"] for e in answer["Entries"] if "ErrorCode" in e]
            if answer["FailedEntryCount"] or refused:
                raise AnnouncementError(f"EventBridge refused: {refused}")

    def _entry(self, stage: str, told: Announcement) -> "PutEventsRequestEntryTypeDef":
        detail = {
            "id": told.id,
            "stage": stage,
            "user_id": told.user_id,
            "at": iso(told.at_ms),
            **told.detail,
        }
        return {
            "EventBusName": self._bus,
            "Source": SOURCE,
            "DetailType": told.kind,
            "Detail": json.dumps(detail, ensure_ascii=False),
        }

    @cached_property
    def _client(self) -> "EventBridgeClient":
        import boto3  # most events are announced to nobody
        from botocore.config import Config

        bounds = Config(
            connect_timeout=_TIMEOUT_S,
            read_timeout=_TIMEOUT_S,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )
        return boto3.client("events", region_name=self._region, config=bounds)
