"""The one API version this server speaks: the one the installed `stripe` package pins."""

from stripe import api_version

API_VERSION: str = api_version
