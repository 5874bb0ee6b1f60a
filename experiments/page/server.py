"""The server of the page: it listens on one address, and neither loads nor sends anything elsewhere."""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

from jaxcolor.errors import UserError, reason
from page.config import DemoConfig

# The browser refuses what comes from elsewhere. Gradio's own page has scripts and styles within its HTML.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'"
)
# Addresses with which Gradio would load a file from another server.
ELSEWHERE = ("/gradio_api/file=http", "/file=http", "/gradio_api/proxy=", "/proxy=")


def serve(config: DemoConfig) -> None:
    """Show the page until Ctrl-C. Raises `UserError` if Gradio is missing, or if the port is in use."""
    if find_spec("gradio") is None:
        raise UserError('the page needs Gradio: run `pip install -e ".[demo]"` first')
    listener = listen(config.host, config.port)
    signal.signal(signal.SIGTERM, stop)
    with listener, tempfile.TemporaryDirectory(prefix="jaxcolor-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary).resolve()
        # Gradio reads these when it is imported.
        os.environ |= {
            "GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip
        try:
            run(config, listener, folder)
        except KeyboardInterrupt:
            print("the page is closed", flush=True)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises `UserError` if that cannot be."""
    where = f"port {port}" if host == DemoConfig.host else f"port {port} of {host}"
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except socket.gaierror as error:
        raise UserError(f"cannot listen on {where}: {reason(error)}; choose another --host") from error
    except OSError as error:
        # Python adds the address to the text of the error.
        why = os.strerror(error.errno) if error.errno else reason(error)
        raise UserError(f"cannot listen on {where}: {why}; choose another --port") from error


def run(config: DemoConfig, listener: socket.socket, folder: Path) -> None:
    """Build the page, and answer requests until Ctrl-C."""
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI, Request, Response

    from page.layout import build_page, looks

    app = FastAPI(openapi_url=None)

    @app.middleware("http")
    async def stay_here(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        """Refuse to load anything from elsewhere, and let the browser do so."""
        if request.url.path.startswith(ELSEWHERE):
            return Response("this server loads nothing from elsewhere", status_code=403)
        response = await answer(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    gr.mount_gradio_app(
        app, build_page(config, folder), path="/", footer_links=[], run_history=False, show_error=True,
        max_file_size=config.most_bytes, ssr_mode=False, enable_monitoring=False, pwa=False, mcp_server=False,
        **looks(),
    )  # fmt: skip
    settings = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
    port = listener.getsockname()[1]
    print(f"http://{config.host}:{port} shows the page; Ctrl-C ends it", flush=True)
    if config.host != DemoConfig.host:
        print(f"warning: others who can reach {config.host} can use it, too", file=sys.stderr, flush=True)
    uvicorn.Server(settings).run(sockets=[listener])


def stop(*_: object) -> None:
    """End the program as Ctrl-C does, so that its temporary files are deleted."""
    raise KeyboardInterrupt
