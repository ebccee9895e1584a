"""``make demo``: one study goes from a folder to a PACS on loopback, and every byte is compared.

Nothing here is used outside the demo. Gurney itself runs as it does anywhere, ``gurney up`` on a configuration file;
what stands around it is made up: the study, the modality that drops it, the PACS that keeps it.
"""
