"""The help of commands in a narrow terminal: definition lists, where a table would cut names."""

from typing import Any

from typer.core import TyperGroup

from routingsim.cli.console import out

_WIDE = 80  # columns


class NarrowHelp:
    """What comes before TyperCommand or TyperGroup in the bases of a class."""

    def format_help(self: Any, ctx: Any, formatter: Any) -> None:
        """Write the help into ``formatter``, or print it as Typer does."""
        if out.width >= _WIDE:
            super().format_help(ctx, formatter)  # pyright: ignore[reportAttributeAccessIssue]
            return
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for each in self.get_params(ctx):
            if record := each.get_help_record(ctx):
                title = each.rich_help_panel or f"{each.param_type_name.capitalize()}s"
                panels.setdefault(title, []).append(record)
        if isinstance(self, TyperGroup):
            said = {name: each.help or "" for name, each in self.commands.items()}
            panels["Commands"] = [(k, v.partition("\n\n")[0]) for k, v in said.items()]
        for title, records in panels.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=8)
        self.format_epilog(ctx, formatter)
