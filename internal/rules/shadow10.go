package rules

func shadow10() Catalogue { return nil }
