"""Several finished runs → one table: reports, fusions, studies, and what a network's filters pass."""
