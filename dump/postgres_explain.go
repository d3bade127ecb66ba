package dump

import "strings"

// pgExplanations are looked through in order: what the client or the server
// says, and what to look at. The texts of the server are English unless its
// lc_messages says otherwise; what is not found here is shown as it is.
var pgExplanations = [...]struct{ text, advice string }{
	{"cannot read POSTGRES_PASSWORD_FILE", "the file that POSTGRES_PASSWORD_FILE names cannot be read in the container"},
	{"password authentication failed", "the server refuses the password: look at POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE of the service (a database that was made with another one keeps that), or at the label dump.user"},
	{"no password supplied", "the server wants a password and the service has none: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE"},
	{"Peer authentication failed", "the server ties the socket to a system user: set POSTGRES_PASSWORD of the service, or allow the user in pg_hba.conf"},
	{"Ident authentication failed", "the server asks an ident service: set a password method for 127.0.0.1 in pg_hba.conf and POSTGRES_PASSWORD of the service"},
	{"no pg_hba.conf entry", "the server lets this user in neither by the socket nor by 127.0.0.1: look at pg_hba.conf and at the label dump.user"},
	{"is not permitted to log in", "the user may not log in: look at POSTGRES_USER and at the label dump.user"},
	{"server version mismatch", "the client in the container is older than the server: use an image whose pg_dump is as new as the server"},
	{"unsupported version", "the pg_restore in the container is older than the pg_dump that made the dump: use a newer image"},
	{"the database system is starting up", "the server is still starting: wait until it is ready"},
	{"the database system is shutting down", "the server is shutting down"},
	{"the database system is in recovery mode", "the server is recovering from a crash: look at its log"},
	{"conflict with recovery", "the standby cancelled the dump: raise max_standby_streaming_delay, or dump the primary"},
	{"too many clients already", "the server has no connection left: raise max_connections"},
	{"remaining connection slots", "the server has no connection left for this user: raise max_connections"},
	{"No space left on device", "no space is left where the server keeps its files"},
	{"is being accessed by other users", "somebody stays connected to the database and may not be disconnected by this user: stop it, or set the label dump.user to a superuser"},
	{"is used by an active logical replication slot", "a logical replication slot still uses the old database: drop the slot, then the database"},
	{"is used by a logical replication slot", "a logical replication slot still uses the old database: drop the slot, then the database"},
	{"being used by logical replication subscription", "a subscription still uses the old database: drop it, then the database"},
	{"prepared transaction", "a prepared transaction holds the database: commit or roll it back (pg_prepared_xacts)"},
	{"could not open extension control file", "an extension that the dump needs is not in this image: use the image that the dump was made with"},
	{"is not available", "an extension that the dump needs is not in this image: use the image that the dump was made with"},
	{"could not access file \"$libdir", "a library that the dump needs is not in this image: use the image that the dump was made with"},
	{"invalid locale name", "the image lacks the locale that the database was made with: use the image that the dump was made with"},
	{"invalid LC_COLLATE locale name", "the image lacks the locale that the database was made with: use the image that the dump was made with"},
	{"invalid LC_CTYPE locale name", "the image lacks the locale that the database was made with: use the image that the dump was made with"},
	{"ICU is not supported", "the image's server is built without ICU, which the database was made with: use the image that the dump was made with"},
	{"permission denied to create database", "the user may not create databases: look at POSTGRES_USER and at the label dump.user"},
	{"must be member of role", "the user may not give objects to their owners: set the label dump.user to a superuser"},
	{"must be able to SET ROLE", "the user may not give objects to their owners: set the label dump.user to a superuser"},
	{"permission denied", "the user lacks a right: give it (pg_read_all_data is enough for a dump), or set the label dump.user to a superuser"},
	{"is not in the container", "the image has no PostgreSQL client: dump from a container that has pg_dump"},
	{"could not connect to server", pgNotReached},
	{"Connection refused", pgNotReached},
	{"Is the server running", pgNotReached},
	{"timeout expired", pgNotReached},
	{"server closed the connection unexpectedly", "the server ended the connection: it was stopped, crashed, or somebody ended it; look at its log"},
	{"terminating connection due to administrator command", "the server ended the connection: it was stopped, or somebody ended it; look at its log"},
	{"out of memory", "memory ran out in the container or in the server: raise its limit"},
}

const pgNotReached = "the server answers neither on its socket nor on 127.0.0.1: is it running, and is PGPORT right?"

// Explain says what an error text means and which variable to look at.
func (Postgres) Explain(stderr string, exit int) string {
	if strings.Contains(stderr, `role "`) && strings.Contains(stderr, "does not exist") {
		if strings.Contains(stderr, "FATAL") {
			return "the server has no such user: look at POSTGRES_USER of the service and at the label dump.user"
		}
		return "a role that the dump needs is missing: restore the roles too"
	}
	if strings.Contains(stderr, `database "`) && strings.Contains(stderr, "does not exist") {
		return "the server has no such database: look at the label dump.databases"
	}
	for _, e := range pgExplanations {
		if strings.Contains(stderr, e.text) {
			return e.advice
		}
	}
	switch exit {
	case 126, 127:
		return "the image has no PostgreSQL client that can be run: dump from a container that has pg_dump"
	case 137:
		return "the command was killed: the container was stopped, or memory ran out"
	case 143:
		return "the command was ended: the container was stopped"
	}
	return ""
}
