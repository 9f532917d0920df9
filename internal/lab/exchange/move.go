package exchange

import (
	"errors"
	"strings"

	"deploy/internal/lab/failover"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// moveGroupPath is Move-StorageGroupPath: it dismounts the databases of the group, moves log and
// checkpoint files, and mounts again.
func (e *Family) moveGroupPath(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
	const name = "Move-StorageGroupPath"
	server, sg, _ := strings.Cut(machine.ArgString(p, "Identity"), `\`)
	var g group
	for _, x := range storageGroups(c.W.Forest, server) {
		if strings.EqualFold(x.name(), sg) {
			g = x
		}
	}
	if g.obj == nil {
		return nil, missing(name, machine.ArgString(p, "Identity"))
	}
	if unconfirmed(p, true) {
		return nil, invalid(name, "the move has to be confirmed twice, and nobody is there to do it")
	}
	only := machine.ArgBool(p, "ConfigurationOnly")
	if err := e.mustOwn(c, name, g.server, only); err != nil {
		return nil, err
	}
	log, system := g.log(), g.system()
	if machine.HasArg(p, "LogFolderPath") {
		log = strings.TrimRight(machine.ArgString(p, "LogFolderPath"), `\`)
	}
	if machine.HasArg(p, "SystemFolderPath") {
		system = strings.TrimRight(machine.ArgString(p, "SystemFolderPath"), `\`)
	}
	var dbs []db
	for _, d := range databases(c.W.Forest) {
		if strings.EqualFold(d.server, g.server) && strings.EqualFold(d.group, g.name()) {
			dbs = append(dbs, d)
		}
	}
	move := func() error {
		if !only {
			if err := shift(c, g.log(), log, logPrefix+".log"); err != nil {
				return err
			}
			if err := shift(c, g.system(), system, logPrefix+".chk"); err != nil {
				return errors.Join(err, shift(c, log, g.log(), logPrefix+".log")) // all or nothing
			}
		}
		g.obj.Attrs["msexcheseparamlogfilepath"] = []string{log}
		g.obj.Attrs["msexcheseparamsystempath"] = []string{system}
		return nil
	}
	return nil, e.dismounted(c, name, dbs, move)
}

// moveDatabasePath is Move-DatabasePath.
func (e *Family) moveDatabasePath(c *machine.Ctx, p map[string]any) ([]machine.Object, error) {
	const name = "Move-DatabasePath"
	list := pick(c, map[string]any{"Identity": machine.ArgString(p, "Identity")})
	if len(list) != 1 {
		return nil, missing(name, machine.ArgString(p, "Identity"))
	}
	d, to := list[0], machine.ArgString(p, "EdbFilePath")
	if unconfirmed(p, true) {
		return nil, invalid(name, "the move has to be confirmed twice, and nobody is there to do it")
	}
	if !strings.HasSuffix(strings.ToLower(to), ".edb") {
		return nil, invalid(name, "the path of a database ends in .edb")
	}
	only := machine.ArgBool(p, "ConfigurationOnly")
	if err := e.mustOwn(c, name, d.server, only); err != nil {
		return nil, err
	}
	return nil, e.dismounted(c, name, list, func() error {
		if !only {
			dir, _, _ := cutLast(to)
			if err := machine.MakeDirs(c, dir); err != nil {
				return err
			}
			if !strings.EqualFold(d.file(), to) {
				if err := machine.MoveFile(c, d.file(), to); err != nil {
					return err
				}
			}
		}
		d.obj.Attrs["msexchedbfile"] = []string{to}
		return nil
	})
}

// mustOwn: files can be moved only on the node that runs the server. Source: exchange.md A8.
func (e *Family) mustOwn(c *machine.Ctx, cmdlet, server string, only bool) error {
	if only {
		return nil
	}
	cl := failover.FindCluster(c)
	if cl == nil {
		return nil
	}
	if g := failover.Group(cl, server); g != nil && !strings.EqualFold(g.Owner, c.M.Name) {
		return invalid(cmdlet, "the task must run on the server that owns the database: "+g.Owner)
	}
	return nil
}

// dismounted does work while the databases are dismounted, and mounts those again that were
// mounted.
func (e *Family) dismounted(c *machine.Ctx, cmdlet string, dbs []db, work func() error) error {
	cl := failover.FindCluster(c)
	var again []*model.ClusterResource
	for _, d := range dbs {
		if cl == nil {
			break
		}
		if r := failover.Resource(cl, d.resource()); r != nil && r.State == 2 {
			if err := e.cluster.Offline(c, cl, r); err != nil {
				return invalid(cmdlet, err.Error())
			}
			again = append(again, r)
		}
	}
	err := work()
	for _, r := range again {
		if on := e.cluster.Online(c, cl, r); on != nil && err == nil {
			err = invalid(cmdlet, on.Error())
		}
	}
	if err != nil {
		return c.AsFail(err)
	}
	return nil
}

// shift moves one file into another directory, which is made when it is missing.
func shift(c *machine.Ctx, from, to, file string) error {
	if strings.EqualFold(from, to) {
		return nil
	}
	if err := machine.MakeDirs(c, to); err != nil {
		return err
	}
	return machine.MoveFile(c, from+`\`+file, to+`\`+file)
}
