package exchange

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"deploy/internal/node"
	"deploy/steps"
)

// Prepare extends the directory for Exchange 2007: the schema, the organisation, or the domain. It
// runs on a domain controller.
type Prepare struct {
	What         string `json:"what" doc:"schema: extend the schema; ad: make the organisation; domain: prepare this domain" required:"true" enum:"schema|ad|domain" example:"schema" check:"compared"`
	Setup        string `json:"setup" doc:"path of setup.com on the node, on a local disk" required:"true" example:"D:\\Exchange\\setup.com" type:"path" check:"instruction:media"`
	Organization string `json:"organization" doc:"name of the Exchange organisation; required for ad" example:"Contoso" check:"fixed"`
	ServicePack  int    `json:"service_pack" doc:"service pack of the media, 1 to 3: the directory must be at least at its level" min:"1" max:"3" check:"compared"`
	As           string `json:"as" doc:"credential of the site: Schema Admins and Enterprise Admins" required:"true" example:"admin" type:"credential" check:"instruction:account"`
}

// levels are what each service pack leaves in the directory. Source: Exchange schema versions,
// Microsoft TechNet Wiki 2772.
var levels = map[int]struct{ schema, organization, domain int }{
	1: {11116, 11221, 11221},
	2: {14622, 11222, 11221},
	3: {14625, 11222, 11221},
}

func prepareKind() steps.Kind {
	return steps.Kind{
		Name:    "exchange.prepare",
		OS:      "windows",
		Summary: "Prepares the directory for Exchange 2007.",
		Doc: "Compares the version numbers that setup leaves in the directory (rangeUpper of ms-Exch-Schema-Version-Pt, " +
			"objectVersion of the organisation and of " +
			"Microsoft Exchange System Objects) with those of the service pack and runs setup.com with /PrepareSchema, " +
			"/PrepareAD or /PrepareDomain as a job where they are lower. " +
			"An organisation of another name is an error. It runs on a domain controller, where a network logon can read the " +
			"directory.",
		Undo:    "None: a schema extension cannot be taken back, and an organisation is not deleted.",
		Proof:   proof,
		Sources: []string{"How to prepare Active Directory and domains, Exchange 2007", "Exchange schema versions"},
		Calls:   []node.Call{setupCall()},
		New:     func() steps.Step { return &Prepare{ServicePack: 1} },
		Example: "what: schema\nsetup: D:\\Exchange\\setup.com\nas: admin\n",
	}
}

// Kind names the step.
func (s *Prepare) Kind() string { return "exchange.prepare" }

// Provides names what exists once the directory is prepared.
func (s *Prepare) Provides() []string { return []string{"exchange/" + s.What} }

// Validate looks at the data.
func (s *Prepare) Validate() error {
	if s.What == "ad" && s.Organization == "" {
		return steps.FieldErr("organization", "is required for ad")
	}
	return nil
}

// Check compares the directory's version numbers.
func (s *Prepare) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	have, err := s.level(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	if have >= s.wanted() {
		return steps.NoChange(), nil
	}
	d := steps.Diff{Action: steps.Run, Via: "setup.com as a job",
		Changes: []steps.Change{{Attr: s.What + " version", From: have, To: s.wanted()}}}
	d.Effects = s.PreviewEffects()
	return d, nil
}

// PreviewEffects tells why it cannot be taken back.
func (s *Prepare) PreviewEffects() steps.Effects {
	return steps.Effects{PointOfNoReturn: map[string]string{
		"schema": "a schema extension cannot be undone",
		"ad":     "the Exchange organisation and its groups stay in the directory",
		"domain": "the domain's groups, containers and permissions for Exchange stay",
	}[s.What]}
}

func (s *Prepare) wanted() int {
	l := levels[s.ServicePack]
	return map[string]int{"schema": l.schema, "ad": l.organization, "domain": l.domain}[s.What]
}

// level reads the version number of the part of the directory; 0 means that it is not prepared at
// all.
func (s *Prepare) level(ctx context.Context, r node.Reader) (int, error) {
	nc, err := contexts(ctx, r)
	if err != nil {
		return 0, err
	}
	var org org
	if s.Organization != "" {
		if org, err = organization(ctx, r, nc); err != nil {
			return 0, err
		}
		if org.name != "" && !strings.EqualFold(org.name, s.Organization) {
			return 0, steps.FixedErr("the Exchange organisation of the forest", "name", org.name, s.Organization,
				"a forest has one Exchange organisation: give its name in the site")
		}
	}
	switch s.What {
	case "schema":
		return number(ctx, r, "CN=ms-Exch-Schema-Version-Pt,"+nc.schema, "rangeUpper")
	case "domain":
		return number(ctx, r, "CN=Microsoft Exchange System Objects,"+nc.domain, "objectVersion")
	}
	if org.name == "" {
		return 0, nil
	}
	return number(ctx, r, org.dn, "objectVersion")
}

// Apply runs setup.
func (s *Prepare) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	args := []string{map[string]string{"schema": "/PrepareSchema", "ad": "/PrepareAD", "domain": "/PrepareDomain"}[s.What]}
	if s.What == "ad" {
		nc, err := contexts(ctx, n)
		if err != nil {
			return steps.Outcome{}, err
		}
		org, err := organization(ctx, n, nc)
		if err != nil {
			return steps.Outcome{}, err
		}
		// setup refuses a name once there is an organisation
		if org.name == "" {
			args = append(args, "/OrganizationName:"+s.Organization)
		}
	}
	return steps.Outcome{}, runSetup(ctx, n, jobID("prepare-"+s.What, s.Setup, s.Organization), s.Setup, s.As, args...)
}

// naming are the directory's naming contexts.
type naming struct{ schema, configuration, domain string }

func contexts(ctx context.Context, r node.Reader) (naming, error) {
	rows, err := r.Query(ctx, node.Directory{Base: "", Scope: "base", Filter: "(objectClass=*)",
		Attrs: []string{"schemaNamingContext", "configurationNamingContext", "defaultNamingContext"}})
	if err != nil {
		return naming{}, fmt.Errorf("cannot read the directory from %s: %w", r.Facts().Computer, err)
	}
	if len(rows) == 0 {
		return naming{}, fmt.Errorf("cannot read the directory from %s: no answer", r.Facts().Computer)
	}
	n := naming{first(rows[0], "schemaNamingContext"), first(rows[0], "configurationNamingContext"),
		first(rows[0], "defaultNamingContext")}
	if n.schema == "" || n.configuration == "" || n.domain == "" {
		return n, fmt.Errorf("cannot read the directory from %s: its naming contexts are missing", r.Facts().Computer)
	}
	return n, nil
}

// find searches and takes a base that is not there for no result.
func find(ctx context.Context, r node.Reader, q node.Directory) ([]node.Row, error) {
	rows, err := r.Query(ctx, q)
	if errors.Is(err, node.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot search %s from %s: %w", q.Base, r.Facts().Computer, err)
	}
	return rows, nil
}

func first(row node.Row, attr string) string {
	if l := row.Strings(attr); len(l) > 0 {
		return l[0]
	}
	return ""
}

func number(ctx context.Context, r node.Reader, dn, attr string) (int, error) {
	rows, err := find(ctx, r, node.Directory{Base: dn, Scope: "base", Filter: "(objectClass=*)", Attrs: []string{attr}})
	if err != nil || len(rows) == 0 || first(rows[0], attr) == "" {
		return 0, err
	}
	n, err := strconv.Atoi(first(rows[0], attr))
	if err != nil {
		return 0, fmt.Errorf("cannot read %s of %s: %w", attr, dn, err)
	}
	return n, nil
}

type org struct{ name, dn string }

// organization finds the Exchange organisation; there is one at most.
func organization(ctx context.Context, r node.Reader, nc naming) (org, error) {
	rows, err := find(ctx, r, node.Directory{Base: "CN=Microsoft Exchange,CN=Services," + nc.configuration, Scope: "one",
		Filter: "(objectClass=msExchOrganizationContainer)", Attrs: []string{"cn"}})
	if err != nil || len(rows) == 0 {
		return org{}, err
	}
	return org{first(rows[0], "cn"), rows[0].String("dn")}, nil
}
