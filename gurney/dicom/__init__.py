"""Pure DICOM: Part 10 headers and completeness, UIDs, presentation-context planning, status categories."""
