"""The sentence that names the cause, out of what real programs have written when they ended."""

import pytest

from backend.stack.reason import LONGEST, reason_in

PORT_OF_KAFKA = """\
1347 [main] ERROR kafka.network.DataPlaneAcceptor - Unable to start acceptor for CONTROLLER
o.a.KafkaException: Socket server failed to bind to [::1]:21154: Address already in use.
	at org.apache.kafka.server.ServerSocketFactory.openServerSocket(ServerSocketFactory.java:56)
	at kafka.Kafka.main(Kafka.scala)
Caused by: java.net.BindException: Address already in use
	at java.base/sun.nio.ch.Net.bind0(Native Method)
	... 18 more
1355 [main] ERROR fault.ProcessTerminatingFaultHandler - Encountered fatal fault
java.lang.RuntimeException: Received a fatal error while waiting for all of the Acceptors to be started
	at kafka.server.ControllerServer.startup(ControllerServer.scala:407)
Caused by: java.lang.RuntimeException: Unable to start acceptor for CONTROLLER
	at kafka.network.Acceptor.liftedTree1$1(SocketServer.scala:531)
	... 6 more
Caused by: o.a.KafkaException: Socket server failed to bind to [::1]:21154: Address already in use.
	at kafka.network.Acceptor.openServerSocket(SocketServer.scala:615)
	... 16 more
Caused by: java.net.BindException: Address already in use
	... 18 more
"""
FOLDER_OF_KAFKA = """\
562 [main] ERROR kafka.Kafka$ - Exiting Kafka due to fatal exception
java.lang.RuntimeException: No readable meta.properties files found.
	at org.apache.kafka.metadata.properties.MetaPropertiesEnsemble.verify(MetaPropertiesEnsemble.java:480)
	at kafka.Kafka.main(Kafka.scala)
"""
PORT_OF_FLINK = """\
2026-11-29 21:58:06,439 ERROR NettyTransport - failed to bind to host:127.0.0.1 port:21156
2026-11-29 21:58:06,457 ERROR FatalExitExceptionHandler - FATAL: Thread 'flink-pekko' produced an uncaught
java.lang.NoClassDefFoundError: org/apache/pekko/actor/dungeon/FaultHandling
	at org.apache.pekko.actor.ActorCell.invoke(ActorCell.scala:420)
Caused by: java.lang.ClassNotFoundException: org.apache.pekko.actor.dungeon.FaultHandling
	... 9 more
2026-11-29 21:58:06,459 ERROR ClusterEntrypoint - Could not start cluster entrypoint.
org.apache.flink.runtime.entrypoint.ClusterEntrypointException: Failed to initialize the cluster entrypoint.
	at org.apache.flink.runtime.entrypoint.ClusterEntrypoint.startCluster(ClusterEntrypoint.java:259)
Caused by: java.net.BindException: Could not start actor system on any port in port range 21156
	at org.apache.flink.runtime.rpc.RpcUtils.createRemoteRpcService(RpcUtils.java:158)
	... 2 more
2026-11-29 21:58:07,979 WARN  ClusterEntrypoint - RECEIVED SIGNAL 15: SIGTERM. Shutting down as requested.
2026-11-29 21:58:08,623 WARN  CoordinatedShutdown - Could not addJvmShutdownHook, due to: Shutdown in progress
"""
UNCAUGHT = """\
Exception in thread "main" java.lang.ExceptionInInitializerError
	at kafka.Kafka$.main(Kafka.scala:97)
Caused by: java.io.IOException: No space left on device
	at java.base/sun.nio.ch.UnixFileDispatcherImpl.write0(Native Method)
	... 1 more
"""
OWNABLE_SYNCHRONIZERS = (
    PORT_OF_FLINK
    + """\
	- java.util.concurrent.locks.ReentrantLock$NonfairSync@58f056f3
"""
)
NO_PLACE_FOR_WAL = """\
2026-11-29 22:10:57.751 UTC [14706] LOG:  invalid checkpoint record
2026-11-29 22:10:57.751 UTC [14706] PANIC:  could not locate a valid checkpoint record at 0/1BC4FB0
2026-11-29 22:10:57.752 UTC [14697] LOG:  startup process (PID 14706) was terminated by signal 6: Aborted
2026-11-29 22:10:57.752 UTC [14697] LOG:  shutting down due to startup process failure
2026-11-29 22:10:57.757 UTC [14697] LOG:  database system is shut down
"""
PERMISSIONS = """\
2026-11-29 22:10:57.680 UTC [14680] FATAL:  data directory "/h/postgres" has invalid permissions
2026-11-29 22:10:57.680 UTC [14680] DETAIL:  Permissions should be u=rwx (0700) or u=rwx,g=rx (0750).
"""
OF_CLIENTS = (
    PERMISSIONS
    + """\
2026-11-29 22:10:58.680 UTC [14681] FATAL:  password authentication failed for user "coffee"
2026-11-29 22:10:58.680 UTC [14681] DETAIL:  Connection matched "/h/pg_hba.conf" line 1
2026-11-29 22:10:59.680 UTC [14682] FATAL:  terminating connection due to administrator command
2026-11-29 22:10:59.680 UTC [14683] FATAL:  the database system is shutting down
"""
)
CONTROL_FILE = """\
postgres: could not find the database system
Expected to find it in the directory "/h/postgres",
but could not open file "/h/postgres/global/pg_control": No such file or directory
"""
INITDB = """\
creating directory /h/postgres.new ... ok
initdb: error: could not write to file "/h/postgres.new/PG_VERSION": No space left on device
initdb: removing contents of data directory "/h/postgres.new"
"""
VALKEY = "20131:M 29 Nov 2026 21:59:04.1"
APPEND_ONLY_FILE = f"""\
{VALKEY}03 # WARNING Memory overcommit must be enabled! Without it, a background save may fail.
{VALKEY}04 * oO0OoO0OoO0Oo Valkey is starting oO0OoO0OoO0Oo
{VALKEY}36 # Bad file format reading the append only file a.aof: use ./valkey-check-aof --fix a.manifest
"""
ADDRESS_OF_VALKEY = f"""\
{VALKEY}04 # Warning: Could not create server TCP listening socket: bind: Cannot assign requested address
{VALKEY}04 # Failed listening on port 80 (tcp), aborting.
"""
CONFIGURATION_OF_VALKEY = """\

*** FATAL CONFIG FILE ERROR (Version 9.1.2) ***
Reading the configuration file, at line 2
>>> 'dir "/nowhere"'
No such file or directory
"""
PYTHON = """\
Traceback (most recent call last):
  File "backend/api/__main__.py", line 9, in main
    serve()
ConnectionRefusedError: [Errno 111] refused

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "backend/api/__main__.py", line 9, in main
    serve()
    ^^^^^^^
coffee_core.errors.StackError: PostgreSQL is away: start it
"""
GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 3, in <module>
  |     asyncio.run(main())
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "a.py", line 2, in boom
    |     raise ValueError("the cause")
    | ValueError: the cause
    +------------------------------------
"""
MEMORY_OF_JAVA = """\
OpenJDK 64-Bit Server VM warning: INFO: os::commit_memory failed; error='Not enough space'
#
# There is insufficient memory for the Java Runtime Environment to continue.
# Native memory allocation (mmap) failed to map 64 bytes. Error detail: committing reserved memory.
# An error report file with more information is saved as:
# /tmp/hs_err_pid1.log
"""
CRASH_OF_JAVA = """\
#
# A fatal error has been detected by the Java Runtime Environment:
#
#  SIGBUS (0x7) at pc=0x00007f, pid=1, tid=2
#
# If you would like to submit a bug report, please visit:
"""


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (
            PORT_OF_KAFKA,
            "KafkaException: Socket server failed to bind to [::1]:21154: Address already in use.",
        ),
        (FOLDER_OF_KAFKA, "RuntimeException: No readable meta.properties files found."),
        (PORT_OF_FLINK, "BindException: Could not start actor system on any port in port range 21156"),
        (OWNABLE_SYNCHRONIZERS, "BindException: Could not start actor system on any port in port range 21156"),
        (UNCAUGHT, "IOException: No space left on device"),
        (
            "Error occurred during initialization of VM\nMultiple garbage collectors selected\n",
            "Multiple garbage collectors selected",
        ),
        (
            (
                "Unrecognized VM option 'NoSuch'\nError: Could not create the Java Virtual Machine.\n"
                "Error: A fatal exception has occurred. Program will exit.\n"
            ),
            "Unrecognized VM option 'NoSuch'",
        ),
        (
            MEMORY_OF_JAVA,
            (
                "there is not enough memory for Java: Native memory allocation (mmap) failed to map 64 bytes. "
                "Error detail: committing reserved memory."
            ),
        ),
        (CRASH_OF_JAVA, "Java has crashed: SIGBUS (0x7) at pc=0x00007f, pid=1, tid=2"),
        ("Error: could not open `/nowhere'\n", "Error: could not open `/nowhere'"),
        (NO_PLACE_FOR_WAL, "could not locate a valid checkpoint record at 0/1BC4FB0"),
        (
            PERMISSIONS,
            (
                'data directory "/h/postgres" has invalid permissions; '
                "Permissions should be u=rwx (0700) or u=rwx,g=rx (0750)."
            ),
        ),
        (
            OF_CLIENTS,
            (
                'data directory "/h/postgres" has invalid permissions; '
                "Permissions should be u=rwx (0700) or u=rwx,g=rx (0750)."
            ),
        ),
        (
            CONTROL_FILE,
            'but could not open file "/h/postgres/global/pg_control": No such file or directory',
        ),
        (INITDB, 'could not write to file "/h/postgres.new/PG_VERSION": No space left on device'),
        (
            APPEND_ONLY_FILE,
            (
                "Bad file format reading the append only file a.aof: mend it by `valkey-check-aof --fix`, or move "
                "COFFEE_HOME/redis aside: see docs/guarantees.md"
            ),
        ),
        (ADDRESS_OF_VALKEY, "Failed listening on port 80 (tcp), aborting."),
        (CONFIGURATION_OF_VALKEY, "'dir \"/nowhere\"': No such file or directory"),
        (PYTHON, "StackError: PostgreSQL is away: start it"),
        (GROUP, "ValueError: the cause"),
        ("postgres: error while loading shared libraries: libssl.so.3: cannot open shared object file\n",) * 2,
        ('{"event": "no certificate in a.pem", "level": "error"}\n', "no certificate in a.pem"),
        ("2026-11-29 21:58:06,439 ERROR api: no certificate\n", "api: no certificate"),
        ("coffee: COFFEE_API_PORT 'x' cannot be used\n\n", "coffee: COFFEE_API_PORT 'x' cannot be used"),
        ("\n \n", ""),
    ],
)
def test_the_reason_is_the_causes_own_sentence(written: str, reason: str) -> None:
    assert reason_in(written) == reason.strip()


def test_a_reason_is_one_line_of_bounded_length() -> None:
    assert len(reason_in("x" * 10_000)) == LONGEST
