package settings

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Hook is a shell command that is run in the container of a service of the
// project. The zero value is none.
type Hook struct{ Service, Command string }

// maxHook bounds a command, as the label's is bounded.
const maxHook = 64 << 10

// serviceName is what Compose takes for the name of a service.
var serviceName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

// takeHook reads SERVICE: COMMAND. Whether there is such a service is for the
// plan to say.
func takeHook(field func(*Settings) *Hook) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		service, command, ok := strings.Cut(v, ":")
		service, command = strings.TrimSpace(service), strings.TrimSpace(command)
		switch {
		case !ok || command == "" || !serviceName.MatchString(service):
			return errors.New("must be SERVICE: COMMAND, a service of the project and what is run in its container, such as \"app: php artisan down\"")
		case len(command) > maxHook:
			return fmt.Errorf("the command has more than %d bytes: put it into a script in the container", maxHook)
		case !utf8.ValidString(command) || strings.ContainsRune(command, 0):
			return errors.New("the command holds a byte that no command can")
		}
		*field(s) = Hook{Service: service, Command: command}
		return nil
	}
}
