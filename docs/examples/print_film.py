"""Print images on one film, or on paper in colour (PS3.4 annex H). They must be ready to print: 8 or 12 bits."""

import argparse

from pydicom import dcmread

from gurney.pacs import DicomEngine, FilmBox, FilmSession, GurneyError, PrintManagementScu, RemoteAE

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("images", nargs="+", help="Part 10 files, for the image boxes from the top left")
parser.add_argument("--layout", default="STANDARD\\1,1", help="columns, rows")
parser.add_argument("--medium", default="", help="such as 'BLUE FILM' or PAPER")
parser.add_argument("--color", action="store_true")
arguments = parser.parse_args()

printer = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
scu = PrintManagementScu("GURNEY")

try:
    with DicomEngine():
        status = scu.printer_status(printer, color=arguments.color)
        print("printer:", status.status, status.info)
        with scu.session(printer, FilmSession(medium_type=arguments.medium), color=arguments.color) as session:
            film = session.add_film(FilmBox(arguments.layout))
            for position, path in enumerate(arguments.images, 1):
                print(position, film.set_image(position, dcmread(path)).words)
            print("film:", film.print().words)
except GurneyError as error:
    raise SystemExit(str(error)) from error
