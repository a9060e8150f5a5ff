"""How gunicorn serves the two doors; the supervisor gives the port and the application."""

worker_class = "gevent"  # an open event stream costs a greenlet
workers = 1  # on SQLite a second process would only wait for the first one's write lock
graceful_timeout = 5  # seconds for requests under way; an accept takes far less, an open event stream never ends
control_socket_disable = True  # gunicorn >= 25 would put a socket into the home directory
errorlog = "-"
accesslog = "-"
# Address, method, path without its query, status, bytes, milliseconds: no query, header or body is logged.
access_log_format = "%(t)s %(h)s %(m)s %(U)s %(s)s %(B)s %(M)s"
