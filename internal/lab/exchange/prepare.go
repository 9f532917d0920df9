package exchange

import (
	"strconv"
	"strings"
	"time"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/model"
)

func schemaVersionDN(f *model.Forest) string {
	return "CN=ms-Exch-Schema-Version-Pt," + directory.SchemaNC(f)
}
func exchangeDN(f *model.Forest) string {
	return "CN=Microsoft Exchange,CN=Services," + directory.ConfigNC(f)
}
func systemObjectsDN(f *model.Forest) string {
	return "CN=Microsoft Exchange System Objects," + directory.DomainNC(f)
}

// organization is the DN of the Exchange organisation, or "".
func organization(f *model.Forest) string {
	for _, o := range directory.Children(f, exchangeDN(f)) {
		if o.Class == "msExchOrganizationContainer" {
			return o.DN
		}
	}
	return ""
}

const adminGroup = "Exchange Administrative Group (FYDIBOHF23SPDLT)"

// serversDN is the container of the organisation's servers.
func serversDN(f *model.Forest) string {
	return "CN=Servers,CN=" + adminGroup + ",CN=Administrative Groups," + organization(f)
}

// older says that the number have is missing or below want.
func older(have, want string) bool {
	h, _ := strconv.Atoi(have)
	w, _ := strconv.Atoi(want)
	return h < w
}

func (s *setup) prepareSchema() error {
	f := s.c.W.Forest
	defer s.alone()()
	if err := s.stage("Extending Active Directory schema", 120*time.Second); err != nil {
		return err
	}
	if older(object(f, schemaVersionDN(f), "rangeUpper"), s.b.rangeUpper) {
		directory.Put(f, schemaVersionDN(f), "attributeSchema", map[string][]string{"rangeupper": {s.b.rangeUpper}})
	}
	return nil
}

func (s *setup) prepareAD() error {
	f := s.c.W.Forest
	if older(object(f, schemaVersionDN(f), "rangeUpper"), s.b.rangeUpper) {
		return refuse("SchemaNotPrepared", "the Active Directory schema is not at the version of this Exchange")
	}
	name, org := s.args["organizationname"], organization(f)
	switch {
	case org == "" && name == "":
		return refuse("", "there is no Exchange organization: the parameter organizationname is needed")
	case org != "" && name != "":
		return refuse("", "an Exchange organization exists: the parameter organizationname cannot be given")
	}
	defer s.alone()()
	if err := s.stage("Organization Preparation", 60*time.Second); err != nil {
		return err
	}
	if org == "" {
		if directory.Get(f, exchangeDN(f)) == nil {
			directory.Put(f, exchangeDN(f), "msExchConfigurationContainer", nil)
		}
		org = "CN=" + name + "," + exchangeDN(f)
		directory.Put(f, org, "msExchOrganizationContainer", nil)
		groups := "CN=Administrative Groups," + org
		directory.Put(f, groups, "msExchAdminGroupContainer", nil)
		directory.Put(f, "CN="+adminGroup+","+groups, "msExchAdminGroup", nil)
		directory.Put(f, "CN=Servers,CN="+adminGroup+","+groups, "msExchServersContainer", nil)
	}
	directory.Get(f, org).Attrs["objectversion"] = []string{s.b.objectVersion}
	s.domainObjects() // it prepares its own domain as well
	return nil
}

func (s *setup) prepareDomain() error {
	f := s.c.W.Forest
	org := organization(f)
	if org == "" || older(object(f, org, "objectVersion"), s.b.objectVersion) {
		return refuse("ADNotPrepared", "the organization is not prepared for this Exchange")
	}
	if d := s.args["preparedomain"]; d != "" && !strings.EqualFold(d, f.Domain) {
		return refuse("", "the domain %s cannot be found", d)
	}
	defer s.alone()()
	if err := s.stage("Prepare Domain Progress", 30*time.Second); err != nil {
		return err
	}
	s.domainObjects()
	return nil
}

func (s *setup) domainObjects() {
	f := s.c.W.Forest
	if directory.Get(f, systemObjectsDN(f)) == nil {
		directory.Put(f, systemObjectsDN(f), "msExchSystemObjectsContainer", nil)
	}
	directory.Get(f, systemObjectsDN(f)).Attrs["objectversion"] = []string{s.b.domain}
}

// rdnOf is the name in front of a DN.
func rdnOf(dn string) string {
	first, _, _ := strings.Cut(dn, ",")
	_, v, _ := strings.Cut(first, "=")
	return v
}
