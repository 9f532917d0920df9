package directory

import (
	"sort"
	"strconv"
	"strings"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

const notFoundID = "deploy.NotFound"

// Win32 codes of the directory, documented with ADSI.
const (
	noSuchObject   = 8240 // ERROR_DS_NO_SUCH_OBJECT
	alreadyExists  = 5010 // ERROR_OBJECT_ALREADY_EXISTS
	classViolation = 8212 // ERROR_DS_OBJ_CLASS_VIOLATION
	noAttribute    = 8202 // ERROR_DS_NO_ATTRIBUTE_OR_VALUE
	badFilter      = 8254 // ERROR_DS_FILTER_UNKNOWN
)

// find searches. Base "" is the RootDSE.
func find(c *machine.Ctx, args map[string]any) ([]machine.Object, error) {
	if err := Reachable(c); err != nil {
		return nil, err
	}
	f := c.W.Forest
	attrs := machine.ArgStrings(args, "attrs")
	base := machine.ArgString(args, "base")
	if base == "" {
		return []machine.Object{row("", map[string][]string{
			"defaultnamingcontext": {DomainNC(f)}, "rootdomainnamingcontext": {DomainNC(f)},
			"configurationnamingcontext": {ConfigNC(f)},
			"schemanamingcontext":        {SchemaNC(f)}, "dnshostname": {dcName(c)}}, attrs)}, nil
	}
	if Get(f, base) == nil {
		return nil, fail(c, noSuchObject, notFoundID)
	}
	match, err := parseFilter(machine.ArgString(args, "filter"))
	if err != nil {
		return nil, fail(c, badFilter, "")
	}
	k := key(base)
	var hits []*model.Object
	for id, o := range f.Objects {
		in := false
		switch strings.ToLower(machine.ArgString(args, "scope")) {
		case "base":
			in = id == k
		case "one":
			in = key(parent(id)) == k
		default:
			in = id == k || strings.HasSuffix(id, ","+k)
		}
		if in && match(o) {
			hits = append(hits, o)
		}
	}
	sort.Slice(hits, func(i, j int) bool { return hits[i].DN < hits[j].DN })
	rows := make([]machine.Object, 0, len(hits))
	for _, o := range hits {
		rows = append(rows, row(o.DN, all(o), attrs))
	}
	return rows, nil
}

func dcName(c *machine.Ctx) string {
	for _, name := range sortedMachines(c.W) {
		if m := c.W.Machines[name]; m.Role >= 4 {
			return strings.ToLower(m.Name) + "." + c.W.Forest.Domain
		}
	}
	return ""
}

// all is an object's attributes with those that every object has.
func all(o *model.Object) map[string][]string {
	m := map[string][]string{"distinguishedname": {o.DN}, "objectclass": {"top", o.Class}, "name": {rdn(o.DN)},
		"cn": {rdn(o.DN)}}
	for n, v := range o.Attrs {
		m[n] = v
	}
	return m
}

func row(dn string, have map[string][]string, attrs []string) machine.Object {
	o := machine.Object{"dn": dn}
	for _, a := range attrs {
		o[a] = machine.Anys(have[strings.ToLower(a)])
	}
	return o
}

func add(c *machine.Ctx, args map[string]any) ([]machine.Object, error) {
	if err := Reachable(c); err != nil {
		return nil, err
	}
	f := c.W.Forest
	dn, class := machine.ArgString(args, "dn"), machine.ArgString(args, "class")
	if Get(f, dn) != nil {
		return nil, fail(c, alreadyExists, "")
	}
	if Get(f, parent(dn)) == nil {
		return nil, fail(c, noSuchObject, notFoundID)
	}
	attrs, _ := machine.Arg(args, "attrs").(map[string]any)
	o := map[string][]string{}
	for n, v := range attrs {
		o[strings.ToLower(n)] = texts(v)
	}
	for _, need := range mandatory(class) {
		if len(o[strings.ToLower(need)]) == 0 {
			return nil, fail(c, classViolation, "")
		}
	}
	Put(f, dn, class, o)
	return nil, nil
}

// mandatory lists the attributes that a class must have, where the reference tells (schema of the
// Microsoft MTA object).
func mandatory(class string) []string {
	if strings.EqualFold(class, "mTA") {
		return []string{"mTALocalDesig", "transRetryMins", "transTimeoutMins"}
	}
	return nil
}

func modify(c *machine.Ctx, args map[string]any) ([]machine.Object, error) {
	if err := Reachable(c); err != nil {
		return nil, err
	}
	o := Get(c.W.Forest, machine.ArgString(args, "dn"))
	if o == nil {
		return nil, fail(c, noSuchObject, notFoundID)
	}
	set, _ := machine.Arg(args, "set").(map[string]any)
	for n, v := range set {
		list := texts(v)
		if len(list) == 0 {
			delete(o.Attrs, strings.ToLower(n))
			continue
		}
		o.Attrs[strings.ToLower(n)] = list
	}
	return nil, nil
}

func del(c *machine.Ctx, args map[string]any) ([]machine.Object, error) {
	if err := Reachable(c); err != nil {
		return nil, err
	}
	if Delete(c.W.Forest, machine.ArgString(args, "dn")) == 0 {
		return nil, fail(c, noSuchObject, notFoundID)
	}
	return nil, nil
}

// texts turns a value into attribute values: numbers in decimal, truths as LDAP writes them.
func texts(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var out []string
		for _, x := range v {
			out = append(out, texts(x)...)
		}
		return out
	case string:
		return []string{v}
	case int64:
		return []string{strconv.FormatInt(v, 10)}
	case bool:
		return []string{strings.ToUpper(strconv.FormatBool(v))}
	}
	return nil
}
