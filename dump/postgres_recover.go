package dump

import "fmt"

// Leftovers names the databases that restores of ours made and did not finish.
func (Postgres) Leftovers(facts Facts) []string {
	var names []string
	for _, d := range facts.Databases {
		if ours(d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}

// Recover decides by which databases there are; where the old one is wanted and
// was not dropped yet, it takes its name back. The swap is one transaction,
// so the new database and the old one under their working names are never
// both there after a restore of ours; that, or a name that the restore was to
// give and that is missing, is somebody's doing.
//
//	new  old  final
//	yes  no   any    not swapped: drop new, the old data is in place
//	no   yes  yes    swapped: drop old, the new data is in place
//	any  yes  no     rename old back
//	yes  yes  yes    not ours to decide
//	no   no   any    nothing left
func (p Postgres) Recover(req RecoverRequest) (Recovery, error) {
	fresh, old, err := workNames(req.ID, req.Database)
	if err != nil {
		return Recovery{}, err
	}
	_, hasFresh := req.Target.Database(fresh)
	_, hasOld := req.Target.Database(old)
	_, hasFinal := req.Target.Database(req.Database)
	maintenance := maintenanceDatabase(req.Target, req.Database)
	drop := func(name, cause string) Step {
		return Step{Name: "drop", Cause: cause, Command: dropCommand(req.Target, maintenance, name)}
	}
	switch {
	case hasFresh && hasOld && hasFinal:
		return Recovery{}, fmt.Errorf("%w: databases %q, %q and %q are all there; look into them, then drop or rename by hand", ErrAmbiguous, req.Database, fresh, old)
	case hasOld && hasFinal && req.Back:
		return Recovery{OutcomeOld, []Step{{
			Name:    "rename back",
			Cause:   fmt.Sprintf("the old data of database %q is still there, and is wanted back", req.Database),
			Command: scriptOnStdin(req.Target, maintenance, "psql (rename "+old+" to "+shown(req.Database)+")"),
			Input:   InputLiteral,
			Literal: transaction(rename(req.Database, fresh) + rename(old, req.Database)),
		}, drop(fresh, "it is not wanted")}}, nil
	case hasOld && hasFinal:
		return Recovery{OutcomeNew, []Step{drop(old, "the new data is in place, what it replaced goes")}}, nil
	case hasOld:
		steps := []Step{{
			Name:    "rename back",
			Cause:   fmt.Sprintf("database %q was renamed away and nothing took its place", req.Database),
			Command: scriptOnStdin(req.Target, maintenance, "psql (rename "+old+" to "+shown(req.Database)+")"),
			Input:   InputLiteral,
			Literal: transaction(rename(old, req.Database)),
		}}
		if hasFresh {
			steps = append(steps, drop(fresh, "it was not finished"))
		}
		return Recovery{OutcomeOld, steps}, nil
	case hasFresh:
		return Recovery{OutcomeOld, []Step{drop(fresh, "it was not finished; the old data is in place")}}, nil
	}
	return Recovery{Outcome: OutcomeNothing}, nil
}
