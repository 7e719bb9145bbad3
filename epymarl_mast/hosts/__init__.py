"""The host frameworks. The only folder that imports one."""

from epymarl_mast.hosts.base import Host, HostModules
from epymarl_mast.hosts.epymarl import EPyMARL
from epymarl_mast.hosts.find import find_host, running_host
from epymarl_mast.hosts.pymarlzooplus import PyMARLzooPlus

__all__ = ["EPyMARL", "Host", "HostModules", "PyMARLzooPlus", "find_host", "running_host"]
