"""What a run of a change leaves behind: a page, a JSON object, a recording, and the lines on the terminal."""

from interlock.agents.report.folder import ReportFiles, write
from interlock.agents.report.narration import Narrator
from interlock.agents.report.report import Broker, Report, Run
from interlock.agents.report.ticket import Ticket

__all__ = ["Broker", "Narrator", "Report", "ReportFiles", "Run", "Ticket", "write"]
