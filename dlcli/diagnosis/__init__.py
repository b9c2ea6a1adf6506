"""Diagnosis: rules that read the evidence of a run and propose what to try next.

They read only the run folder, never the data, so that a run can be diagnosed anywhere.
"""
