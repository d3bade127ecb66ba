package dump

import "strings"

// myExplanations are looked through in order: what the client or the server
// says, and what to look at.
var myExplanations = [...]struct{ text, advice string }{
	{"cannot read M", "the file that a variable of the service names for a user or a password cannot be read in the container"},
	{"using password: YES", "the server refuses the password: look at MARIADB_ROOT_PASSWORD or MYSQL_ROOT_PASSWORD of the service, or the _FILE of either (a server that was made with another one keeps that), or at the label dump.user"},
	{"using password: NO", "the server wants a password and the service has none for this user: set MARIADB_ROOT_PASSWORD, MYSQL_ROOT_PASSWORD or the _FILE of either, or the label dump.user"},
	{"is not allowed to connect to this", "the server lets nobody in from there: look at the hosts of the user, and at MARIADB_ROOT_HOST"},
	{"is not in the container", "the image has no client: dump from a container that has mariadb-dump or mysqldump"},
	{"references invalid table", myInvalidView},
	{"Couldn't execute 'SHOW FIELDS FROM", myInvalidView},
	{"Access denied; you need", "the user lacks a right: give it (a dump takes SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES and, in MySQL, SHOW_ROUTINE, all of them ON *.*: what the user may not see is not dumped), or set MARIADB_ROOT_PASSWORD and no label dump.user"},
	{"Access denied for user", "the user lacks a right on this database: look at the label dump.user"},
	{"command denied to user", "the user lacks a right: look at the label dump.user"},
	{"has insufficent privileges", "the user lacks the right to read routines: give SELECT on mysql.*, or set the label dump.user to root"},
	{"Unknown database", "the server has no such database: look at the label dump.databases"},
	{"Table definition has changed", "a table was altered during the dump: let changes of the schema wait for the backup, or run it again"},
	{"Lock wait timeout exceeded", "somebody holds a lock on a table of the database and does not give it up: stop it, and try again"},
	{"Lost connection", "the server ended the connection: it was stopped, crashed, or somebody ended it; look at its log"},
	{"server has gone away", "the server ended the connection: it was stopped, crashed, or a row is larger than its max_allowed_packet; look at its log"},
	{"Server shutdown in progress", "the server is shutting down"},
	{"max_allowed_packet", "a row is larger than the server's max_allowed_packet: raise it"},
	{"Too many connections", "the server has no connection left: raise max_connections"},
	{"Can't connect to", myNotReached},
	{"No space left on device", "no space is left where the server keeps its files"},
	{"is full", "no space is left where the server keeps its files"},
	{"log_bin_trust_function_creators", "the server writes a binary log, and then takes only functions that say what they read: set log_bin_trust_function_creators=1 for the restore, as it was when they were made"},
	{"Unknown collation", "the server is too old for a collation of the dump: use an image as new as the one that the dump was made with"},
	{"Unknown storage engine", "the server lacks a storage engine that the dump needs: use the image that the dump was made with"},
	{"Plugin", "the server lacks a plugin that the dump needs: use the image that the dump was made with"},
	{"running with the --read-only option", "the server is read-only: restore into its primary"},
	{"was cut on its way", "the connection to the container broke off"},
}

const (
	myNotReached  = "the server answers neither on its socket nor on 127.0.0.1: is it running, and is the socket where the client looks for it (MYSQL_UNIX_PORT)?"
	myInvalidView = "a view refers to something that is no longer there, or that its definer may not see: drop the view, or mend it"
)

// Explain says what an error text means and what to look at.
func (MariaDB) Explain(stderr string, exit int) string {
	for _, e := range myExplanations {
		if strings.Contains(stderr, e.text) {
			return e.advice
		}
	}
	switch exit {
	case 137:
		return "the command was killed: the container was stopped, or memory ran out"
	case 143:
		return "the command was ended: the container was stopped"
	}
	return ""
}
