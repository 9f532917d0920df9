package exchange

// Prepare extends the directory for Exchange 2007: the schema, the organisation, or the domain. It runs on a domain controller.
type Prepare struct {
	What         string `json:"what" doc:"schema: extend the schema; ad: make the organisation; domain: prepare this domain" required:"true" enum:"schema|ad|domain"`
	Setup        string `json:"setup" doc:"path of setup.com on the node, on a local disk" required:"true" example:"D:\\Exchange\\setup.com"`
	Organization string `json:"organization" doc:"name of the Exchange organisation; required for ad" example:"Contoso"`
	ServicePack  int    `json:"service_pack" doc:"service pack of the media, 1 to 3: the directory must be at least at its level"`
	As           string `json:"as" doc:"credential of the site: Schema Admins and Enterprise Admins" required:"true" example:"admin"`
}
