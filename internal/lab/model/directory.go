package model

// Forest is the directory with its DNS zones. Owned by the directory family; extend it there.
type Forest struct {
	Domain  string             `json:"domain"`  // contoso.com
	NetBIOS string             `json:"netbios"` // CONTOSO
	Objects map[string]*Object `json:"objects"` // by lower-case DN
	Zones   map[string]*Zone   `json:"zones"`   // by lower-case name
	Users   map[string]string  `json:"-"`       // DOMAIN\user (lower case) to password: what the lab accepts; never saved
}

// Object is one directory object.
type Object struct {
	DN    string              `json:"dn"`
	Class string              `json:"class"`
	Attrs map[string][]string `json:"attrs"` // by lower-case name
}

// Zone is one DNS zone.
type Zone struct {
	Name          string    `json:"name"`
	DynamicUpdate int       `json:"dynamic_update"` // 0 none 1 all 2 secure
	Records       []*Record `json:"records"`
}

// Record is one DNS record. Name is relative to the zone, "@" for its root.
type Record struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Data string `json:"data"`
	TTL  int    `json:"ttl"`
}
