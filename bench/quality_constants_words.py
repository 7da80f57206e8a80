"""Words of the page that `bench.quality_constants` writes."""

INTRODUCTION = ""
READING = ""
