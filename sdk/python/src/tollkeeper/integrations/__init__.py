"""Where apps live. Each module needs the package it is named after, and is imported on its own.

`starlette` (FastAPI too), `flask` and `django` answer a `BlockedError` with 402 and say whose
request it is; `langchain` meters the calls that LangChain makes.
"""
