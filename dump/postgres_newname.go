package dump

import "fmt"

// CheckNewName refuses names that cannot be, and those that are taken.
func (p Postgres) CheckNewName(name string, target Facts) error {
	if err := p.Check(Request{Databases: []string{name}}); err != nil {
		return err
	}
	if _, exists := target.Database(name); exists || ours(name) {
		return fmt.Errorf("%w: database %q exists; give a name that is free", ErrBadRequest, name)
	}
	return nil
}
