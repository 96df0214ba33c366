"""A stack as CloudFormation (moto's) knows it, where the functions run in the local cloud."""

import json
from collections.abc import Mapping
from typing import Any

from infra.local.stack import LocalStack

_ANYTHING = {"Queue": {"Type": "AWS::SQS::Queue"}}


def outputs_of(cloud: LocalStack) -> dict[str, str]:
    """The addresses that set-up reads of a stack."""
    return {
        "InterceptUrl": f"{cloud.urls['intercept']}/",
        "StripeWebhookUrl": f"{cloud.urls['stripe_webhook']}/",
        "UpgradePageUrl": f"{cloud.urls['upgrade_page']}/",
        "SyncConfigFunctionName": "SyncConfigFunction",
    }


def put_stack(
    cloudformation: Any,
    stage: str,
    outputs: Mapping[str, Any],
    resources: Mapping[str, Any] = _ANYTHING,
) -> str:
    """Create ``tollkeeper-<stage>``, in place of one that is there; its template."""
    template = json.dumps(
        {
            "Resources": resources,
            "Outputs": {name: {"Value": value} for name, value in outputs.items()},
        }
    )
    cloudformation.delete_stack(StackName=f"tollkeeper-{stage}")
    cloudformation.create_stack(StackName=f"tollkeeper-{stage}", TemplateBody=template)
    return template
