"""The doorbell: queue names, ring(), the embedded broker. Losing all of it costs seconds, never an instance."""
