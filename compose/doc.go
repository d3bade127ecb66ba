// Package compose is the project as Compose sees it: services with their
// containers, mounts and labels, volumes with their Compose keys, and the order
// that depends_on gives.
//
// The model is pure data. It is made from containers and volumes that somebody
// else inspected (FromContainers), or from compose files (FromFile, the only
// part that knows compose-go). Nothing here talks to the Docker Engine or to a
// network, and nothing is executed.
package compose
