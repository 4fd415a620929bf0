"""`pocket dashboard`: the ROI panel alone, as a page of this computer that opens only by its token."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import webbrowser
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server import DEFAULT_STATIC_FILES_PATH
from jupyter_server.auth.identity import IdentityProvider
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from traitlets import default
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler

from pocket.presentation.dashboard import FOLDER, environment, page
from pocket.presentation.i18n import translator
from pocket.presentation.roi_files import report_of
from pocket.runs import Run
from pocket.runs.extras import EXTRAS, need

HOST = "127.0.0.1"
_NOTEBOOK = "panel.ipynb"
# What the page asks for. Voila's other routes (files beside the notebook, the list of notebooks, the unguarded
# channel by which a waiting kernel learns of its visitor, a login form) are not served.
_ROUTES = ("/api/kernels/", "/voila/templates/", "/voila/static/", "/voila/labextensions/")
# Of JupyterLab's extensions, only those that draw widgets.
_EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"]
# Nothing may be fetched from elsewhere, whatever a script asks for. anywidget imports its module from a blob.
_POLICY = (
    "default-src 'self'; script-src 'self' blob: 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws://{host}; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)


def serve(
    run: Run, *, lang: str = "en", port: int = 0, browser: bool = True, say: Callable[[str], None] = print
) -> None:
    """Serve the panel of a run until Ctrl-C.

    Parameters
    ----------
    run : Run
        What it starts from; nothing is written.
    lang : {"en", "ja"}
        The language it begins with.
    port : int
        0 takes one that is free.
    browser : bool
        Open the page once it is ready.
    say : callable
        Takes the lines for the person who started it, one of them the address with its token.

    Raises
    ------
    ValueError
        If the run lacks an alternative, the language is unknown, or the port is taken.
    ArtefactError
        If a record of the run is missing or damaged.
    ModuleNotFoundError
        If the extra ``dashboard`` is not installed.
    RuntimeError
        If the panel cannot be made.
    """
    need(*EXTRAS["dashboard"])
    report_of(run, lang)  # what is wrong with the run is said here, not in a page
    with TemporaryDirectory(prefix="pocket-dashboard-") as folder:
        # Kernels inherit these. IPYTHONDIR: a profile of the user's own may import anything, torch included.
        os.environ.update(environment(run, lang), IPYTHONDIR=folder)
        # Of what it serves and refuses, only what went wrong is told.
        logging.getLogger("tornado").setLevel(logging.ERROR)
        app = Dashboard(config=_config(folder, port), run=run, lang=lang, open_page=browser, say=say)
        app.initialize([])
        app.start()
    if app.fault is not None:
        raise RuntimeError(f"the panel could not be made: {app.fault}") from app.fault


def _config(folder: str, port: int) -> Config:
    """Return Voila's settings; no file of the user's changes them."""
    return Config(
        {
            "Voila": {
                "notebook_path": str(FOLDER / _NOTEBOOK),
                "root_dir": str(FOLDER),
                "ip": HOST,
                "port": port,
                "token": secrets.token_urlsafe(24),
                "identity_provider_class": IdentityProvider,
                "connection_dir_root": folder,
                "config_file_paths": [],
                "log_level": logging.ERROR,
                # Other names than this machine's own are refused, whoever lets them point here.
                "tornado_settings": {
                    "allow_remote_access": False,
                    "local_hostnames": ["localhost"],
                    "static_path": DEFAULT_STATIC_FILES_PATH,  # of the page that refuses
                },
            },
            "VoilaConfiguration": {
                "kernel_spec_manager_class": _OwnKernel,
                "preheat_kernel": True,
                "extension_allowlist": _EXTENSIONS,
                "extension_denylist": [],
                "allow_template_override": "NO",
                "allow_theme_override": "NO",
            },
            "VoilaExecutor": {"cell_error_instruction": "The terminal of pocket dashboard says more."},
            # A page that was closed leaves its kernel behind: it goes when nobody has been connected for so long.
            "MappingKernelManager": {"cull_idle_timeout": 300, "cull_interval": 60},
        }
    )


class _OwnKernel(KernelSpecManager):
    """This Python's own kernel, not one that a user has put into its place."""

    @default("kernel_dirs")
    def _no_folders(self) -> list[str]:
        return []

    def get_kernel_spec(self, kernel_name: str) -> Any:
        spec = super().get_kernel_spec(kernel_name)
        # On 127.0.0.1 the kernel's warning about unencrypted messages is noise; no history is kept of a page.
        spec.argv = [*spec.argv, "--IPKernelApp.log_level=40", "--HistoryManager.enabled=False"]
        return spec


class _Page(TornadoVoilaHandler):  # type: ignore[misc]
    """The panel's page, and the answer to those without the token."""

    async def get(self, path: str | None = None) -> None:
        app: Dashboard = self.settings["voila"]
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.write(page("head.html.j2", app.run, app.lang, xsrf=self.xsrf_token.decode()))
        await self.flush()  # a first visit sees it while the kernel starts
        await super().get(path)

    async def prepare(self) -> None:
        await super().prepare(_redirect_to_login=False)

    def write_error(self, status_code: int, **details: Any) -> None:
        if status_code != 403:
            self.finish(f"{status_code}")
            return
        app: Dashboard = self.settings["voila"]
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.finish(page("refused.html.j2", app.run, app.lang))

    @property
    def content_security_policy(self) -> str:
        return _POLICY.format(host=self.request.host)


class Dashboard(Voila):  # type: ignore[misc]
    """Voila with one page, the routes that page needs, and a kernel that waits for its visitor."""

    port: int
    template_paths: list[str]

    def __init__(self, *, run: Run, lang: str, open_page: bool, say: Callable[[str], None], **options: Any) -> None:
        super().__init__(**options)
        self.run, self.lang, self.open_page, self.say = run, lang, open_page, say
        self.t = translator(lang)
        self.fault: Exception | None = None

    def setup_template_dirs(self) -> None:
        """Put the page's own template before Voila's, which loads a font from a distant server."""
        super().setup_template_dirs()
        self.template_paths = [str(FOLDER), *self.template_paths]

    def init_handlers(self) -> list[Any]:
        """Return the routes that the page needs."""
        kept = [handler for handler in super().init_handlers() if handler[0].startswith(_ROUTES)]
        options = {
            "notebook_path": _NOTEBOOK,
            "template_paths": self.template_paths,
            "config": self.config,
            "voila_configuration": self.voila_configuration,
        }
        return [*kept, ("/()", _Page, options)]

    def listen(self) -> None:
        """Serve on one port of this computer until Ctrl-C."""
        try:
            sockets = bind_sockets(self.port, HOST)
        except OSError as error:
            raise ValueError(self.t("serve.port", port=self.port, reason=error.strerror)) from None
        self.port = sockets[0].getsockname()[1]
        HTTPServer(self.app).add_sockets(sockets)
        self.ioloop = IOLoop.current()
        self.ioloop.add_callback(self._announce)
        # Not as KeyboardInterrupt, which tornado swallows where it breaks into the answer to a request.
        signal.signal(signal.SIGINT, self._handle_signal_stop)
        self.ioloop.start()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever cannot wait presses it again
        try:
            with contextlib.suppress(TimeoutError):
                self.ioloop.run_sync(self._settle, timeout=15)
        finally:
            self.stop()
        self.say(self.t("serve.stopped"))

    async def _settle(self) -> None:
        """Let a kernel that is just being warmed up come to rest: ended in the middle, it would complain at length."""
        for waiting in [*self.kernel_manager._pools.get(_NOTEBOOK, ())]:
            with contextlib.suppress(Exception):  # what is wrong with it no longer matters
                await (await waiting)["task"]

    async def _announce(self) -> None:
        """Say the address once the first kernel holds a panel, so that the first visit need not wait for it."""
        try:
            waiting = await self.kernel_manager._pools[_NOTEBOOK][0]
            rendered, _ = await waiting["task"]
            if '"output_type": "error"' in "".join(rendered):
                raise RuntimeError("the cell that makes the panel failed; its error is above")
        except Exception as fault:  # whatever it is, it ends the server, and `serve` raises it
            self.fault = fault
            self.ioloop.stop()
            return
        address = f"http://{HOST}:{self.port}/?token={self.token}"
        self.say(self.t("serve.address", run=self.run.name, address=address))
        self.say(self.t("serve.end"))
        if self.open_page:
            webbrowser.open(address)
