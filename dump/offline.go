package dump

// OfflineEngine is an Engine that dumps only while its server is down: the
// service is stopped, and its commands run in a throwaway container of the
// service's own image with its volumes, the double. Its Probe asks the files
// and not the server, so that it can be run in either container.
type OfflineEngine interface {
	Engine

	// OfflineUser is who runs its commands in a double, as in docker run
	// --user; "": whoever the service runs as.
	OfflineUser() string
}

// Offline says whether an engine dumps only while its server is down.
func Offline(e Engine) bool {
	_, ok := e.(OfflineEngine)
	return ok
}

// OfflineUser is who runs an engine's commands in a double; "": whoever the
// service runs as.
func OfflineUser(e Engine) string {
	if o, ok := e.(OfflineEngine); ok {
		return o.OfflineUser()
	}
	return ""
}
