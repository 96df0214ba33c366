"""boto3 clients for the local AWS endpoint, whatever AWS settings the machine has."""

from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient
    from types_boto3_ssm import SSMClient

# A proxy of the machine's owner leads out of it.
_NO_PROXY = Config(proxies={})


class LocalAws:
    """Makes clients of the endpoint `url`; moto takes any credentials."""

    def __init__(self, url: str, region: str) -> None:
        self.url = url
        # No profile: one that AWS_PROFILE names and that is not there would be an error.
        core = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        self._session = boto3.Session(
            botocore_session=core,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - moto takes any
            region_name=region,
        )

    def sqs(self) -> "SQSClient":
        """A client of SQS."""
        return self._session.client("sqs", endpoint_url=self.url, config=_NO_PROXY)

    def ssm(self) -> "SSMClient":
        """A client of the Parameter Store."""
        return self._session.client("ssm", endpoint_url=self.url, config=_NO_PROXY)

    def s3(self) -> "S3Client":
        """A client of S3."""
        return self._session.client("s3", endpoint_url=self.url, config=_NO_PROXY)
