"""What meets the outside: Redis, SSM, SQS, S3, Stripe. Each implements a port of the domain."""
