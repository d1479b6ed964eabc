"""`gradskew cite`: print what to cite, in BibTeX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..core.errors import InputError


@click.command()
@click.argument("what", nargs=-1, metavar="[NAME|FOLDER]...")
def cite(what: Sequence[str]) -> None:
    """Print BibTeX entries of gradskew, of the STRIKE paper, and of the papers of NAMES or of the runs in FOLDERs.

    A NAME is an attack, a rule, a data set, a partition or a network as elsewhere: strike, nnm+multikrum(m=3). A FOLDER
    is the --out of earlier commands. bench and report write the entries of their runs to citations.bib.
    """
    from ..report.citations import bibtex, sources_of_name, sources_of_records
    from .publishing import stored_tables

    sources: set[str] = set()
    for each in what:
        try:
            sources |= sources_of_name(each)
        except InputError:
            if not (each and Path(each).is_dir()):
                raise
            tables = stored_tables([Path(each)])
            sources |= sources_of_records(record for table in tables for record in table.records)
    click.echo(bibtex(sources), nl=False)
