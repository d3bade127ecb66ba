package dump

import "strings"

// redisExplanations are looked through in order.
var redisExplanations = [...]struct{ text, advice string }{
	{"cannot read REDIS_PASSWORD_FILE", "the file that REDIS_PASSWORD_FILE names cannot be read in the container"},
	{"cannot read VALKEY_PASSWORD_FILE", "the file that VALKEY_PASSWORD_FILE names cannot be read in the container"},
	{"WRONGPASS", redisPassword},
	{"invalid password", redisPassword},
	{"NOAUTH", "the server wants a password: set REDIS_PASSWORD or REDIS_PASSWORD_FILE of the service to it; requirepass on its command line or in its configuration file is found too"},
	{"NOPERM", "the user lacks a right: a dump takes +ping +info +config|get +sync +psync +replconf; give them, or set the label dump.user"},
	{"no permissions", "the user lacks a right: a dump takes +ping +info +config|get +sync +psync +replconf; give them, or set the label dump.user"},
	{"DENIED Redis is running in protected mode", "the server answers nobody without a password: set requirepass"},
	{"is not in the container", "the image has no client: dump from a container that has redis-cli, valkey-cli or keydb-cli"},
	{"Could not connect", redisNotReached},
	{"Connection refused", redisNotReached},
	{"LOADING", "the server is still loading its data: wait until it is ready"},
	{"MISCONF", "the server cannot save to its disk: look at its log"},
	{"Can't SYNC while not connected with my master", "it is a replica that has lost its primary: dump the primary, or set replica-serve-stale-data"},
	{"No space left on device", "no space is left where the server keeps its files"},
	{"I/O Error", "the server ended the connection: it was stopped, crashed, or could not fork; look at its log"},
	{"Server closed the connection", "the server ended the connection: it was stopped, crashed, or could not fork; look at its log"},
}

const (
	redisPassword   = "the server refuses the password: look at REDIS_PASSWORD or REDIS_PASSWORD_FILE of the service, at requirepass, and at the label dump.user"
	redisNotReached = "the server answers neither on 127.0.0.1 nor on its socket: is it running, and does it listen without TLS?"
)

// Explain says what an error text means and which variable to look at.
func (Redis) Explain(stderr string, exit int) string {
	for _, e := range redisExplanations {
		if strings.Contains(stderr, e.text) {
			return e.advice
		}
	}
	switch exit {
	case 126, 127:
		return "the image has no client that can be run: dump from a container that has redis-cli"
	case 137:
		return "the command was killed: the container was stopped, or memory ran out"
	case 143:
		return "the command was ended: the container was stopped"
	}
	return ""
}
