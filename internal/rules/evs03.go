package rules

func evs03() Catalogue { return nil }
