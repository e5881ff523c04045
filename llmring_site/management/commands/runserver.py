from django.core.management.commands import runserver

from llmring_site import serving
from llmring_site.sockets import bind


class Command(runserver.Command):
    help = "Serve the ASGI application, as llmring-server does, in one process with autoreload."

    def inner_run(self, *args, **options) -> None:
        if not options["skip_checks"]:
            self.check(**self.get_check_kwargs(options), display_num_errors=True)
        self.check_migrations()
        serving.serve_here(bind(self.addr, int(self.port)))
