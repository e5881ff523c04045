"""A FastAPI application with the server mounted below /llmring: PORT DATABASE-ADDRESS."""

import sys

import uvicorn
from fastapi import FastAPI
from psycopg_pool import ConnectionPool

from llmring_server import create_app

port, address = sys.argv[1:]
app = FastAPI()


@app.get("/health")
def health() -> dict:
    return {"host": "healthy"}


pool = ConnectionPool(address, open=False)
arguments = {
    "db_manager": pool,
    "standalone": False,
    "settings": {"workers": 1, "registry_base_url": "http://127.0.0.1:9/"},
}
app.mount("/llmring", create_app(**arguments, schema="mounted", include_meta_routes=False))
app.mount("/whole", create_app(**arguments, schema="mounted"))
try:
    create_app(**arguments, schema="another")
except ValueError as error:
    print(f"refused: {error}", flush=True)
uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")
