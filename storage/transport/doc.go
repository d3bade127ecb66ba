// Package transport is the way to a storage that is reached by HTTP: the pool
// of connections, a timer that ends what stalls, the limits of the process, and
// plain names for what can go wrong before a server has answered.
package transport
