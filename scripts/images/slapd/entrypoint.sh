#!/bin/sh
# Makes a directory for LDAP_DOMAIN where there is none yet, and starts slapd in
# the place of this shell.
set -eu

if [ "$1" != slapd ]; then
	exec "$@"
fi
password=${LDAP_ADMIN_PASSWORD:-}
if [ -n "${LDAP_ADMIN_PASSWORD_FILE:-}" ]; then
	password=$(cat "$LDAP_ADMIN_PASSWORD_FILE")
fi
domain=${LDAP_DOMAIN:-example.org}
suffix=dc=$(printf %s "$domain" | sed 's/\./,dc=/g')
config=/etc/ldap/slapd.d

if [ ! -e "$config/cn=config.ldif" ]; then
	hash=$(slappasswd -n -s "$password")
	slapadd -n 0 -F "$config" <<-END
		dn: cn=config
		objectClass: olcGlobal
		cn: config
		olcPidFile: /run/slapd/slapd.pid

		dn: cn=module{0},cn=config
		objectClass: olcModuleList
		cn: module{0}
		olcModulePath: /usr/lib/ldap
		olcModuleLoad: back_mdb

		dn: cn=schema,cn=config
		objectClass: olcSchemaConfig
		cn: schema

		include: file:///etc/ldap/schema/core.ldif
		include: file:///etc/ldap/schema/cosine.ldif
		include: file:///etc/ldap/schema/inetorgperson.ldif

		dn: olcDatabase={0}config,cn=config
		objectClass: olcDatabaseConfig
		olcDatabase: {0}config
		olcRootDN: cn=admin,cn=config
		olcRootPW: $hash

		dn: olcDatabase={1}mdb,cn=config
		objectClass: olcDatabaseConfig
		objectClass: olcMdbConfig
		olcDatabase: {1}mdb
		olcSuffix: $suffix
		olcRootDN: cn=admin,$suffix
		olcRootPW: $hash
		olcDbDirectory: /var/lib/ldap
		olcDbMaxSize: 1073741824
		olcDbIndex: objectClass eq
	END
fi
if [ ! -e /var/lib/ldap/data.mdb ]; then
	slapadd -n 1 -F "$config" <<-END
		dn: $suffix
		objectClass: top
		objectClass: dcObject
		objectClass: organization
		o: ${LDAP_ORGANISATION:-Example}
		dc: ${domain%%.*}
	END
fi
chown -R openldap:openldap "$config" /var/lib/ldap /run/slapd
exec slapd -d none -h "ldap:/// ldapi:///" -u openldap -g openldap -F "$config"
