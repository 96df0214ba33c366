"""Set-up for AWS: from an empty account and an Upstash database to the first metered call."""
