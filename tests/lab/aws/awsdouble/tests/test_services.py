"""DNS, prices, and the look from outside."""

import json
import subprocess
import unittest
from typing import Any

from awsdouble.tests.bench import DOUBLE, PUBLIC_KEY, DoubleCase, tagged


class Dns(DoubleCase):
    def setUp(self) -> None:
        super().setUp()
        self.route53 = self.double.client("route53", region="us-east-1")
        self.zone = self.route53.create_hosted_zone(Name="example.com", CallerReference=self.id())["HostedZone"]["Id"]

    def change(self, *changes: tuple[str, str, str, str], ttl: int = 60) -> None:
        batch = [
            {
                "Action": action,
                "ResourceRecordSet": {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": value}]},
            }
            for action, name, kind, value in changes
        ]
        self.route53.change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch={"Changes": batch})

    def there(self) -> list[str]:
        found = self.route53.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        return [f"{record['Name']} {record['Type']}" for record in found if record["Type"] not in ("NS", "SOA")]

    def test_a_record_is_created_once(self) -> None:
        self.change(("CREATE", "app.example.com", "A", "127.0.0.1"), ("CREATE", "_app.example.com", "TXT", '"ours"'))
        self.refused("InvalidChangeBatch", self.change, ("CREATE", "app.example.com.", "A", "127.0.0.2"))
        # All or nothing.
        self.refused(
            "InvalidChangeBatch",
            self.change,
            ("CREATE", "new.example.com", "A", "127.0.0.2"),
            ("CREATE", "app.example.com", "A", "127.0.0.2"),
        )
        self.assertEqual(sorted(self.there()), ["_app.example.com. TXT", "app.example.com. A"])
        self.change(("UPSERT", "app.example.com", "A", "127.0.0.3"))
        self.refused("InvalidChangeBatch", self.change, ("DELETE", "app.example.com", "A", "127.0.0.1"))
        self.change(("DELETE", "app.example.com", "A", "127.0.0.3"), ("CREATE", "app.example.com", "A", "127.0.0.4"))
        self.change(("DELETE", "app.example.com", "A", "127.0.0.4"))
        self.refused("InvalidChangeBatch", self.change, ("DELETE", "app.example.com", "A", "127.0.0.4"))
        self.change(("CREATE", "app.example.com", "A", "127.0.0.5"))


class Prices(DoubleCase):
    def products(self, service: str, **fields: str) -> list[dict[str, Any]]:
        filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in fields.items()]
        pricing = self.double.client("pricing", region="us-east-1")
        found = [
            json.loads(entry)
            for page in pricing.get_paginator("get_products").paginate(
                ServiceCode=service, Filters=filters, PaginationConfig={"PageSize": 1}
            )
            for entry in page["PriceList"]
        ]
        return found

    def price(self, service: str, **fields: str) -> tuple[str, float]:
        [product] = self.products(service, **fields)
        [term] = product["terms"]["OnDemand"].values()
        [dimension] = term["priceDimensions"].values()
        return dimension["unit"], float(dimension["pricePerUnit"]["USD"])

    def test_prices(self) -> None:
        used = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
        for region, price in (("eu-central-1", 0.024), ("us-east-1", 0.0208)):
            found = self.price("AmazonEC2", regionCode=region, instanceType="t3.small", **used)
            self.assertEqual(found, ("Hrs", price))
        self.assertEqual(len(self.products("AmazonEC2", regionCode="eu-central-1", instanceType="t3.small")), 3)
        gp3 = self.price("AmazonEC2", regionCode="eu-central-1", productFamily="Storage", volumeApiName="gp3")
        self.assertEqual(gp3, ("GB-Mo", 0.0952))
        idle = self.price("AmazonVPC", regionCode="eu-central-1", usagetype="EUC1-PublicIPv4:IdleAddress")
        self.assertEqual(idle, ("Hrs", 0.005))
        self.refused("InvalidParameterException", self.products, "NoSuchService")


class Look(DoubleCase):
    def test_what_is_there_is_seen(self) -> None:
        self.assertEqual({kind: [] for kind in self.look()}, self.look())
        self.ec2.import_key_pair(KeyName="k", PublicKeyMaterial=PUBLIC_KEY, TagSpecifications=tagged("key-pair", a="b"))
        group = self.ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
        rule = {
            "IpProtocol": "tcp",
            "FromPort": 22,
            "ToPort": 22,
            "IpRanges": [{"CidrIp": "192.0.2.1/32", "Description": "me"}],
            "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
        }
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        identity = self.run_one(
            SecurityGroupIds=[group], KeyName="k", UserData="x", TagSpecifications=tagged("instance", a="b")
        )["InstanceId"]
        self.ec2.associate_address(
            AllocationId=self.ec2.allocate_address(Domain="vpc")["AllocationId"], InstanceId=identity
        )
        seen = self.look()
        self.assertEqual(
            {kind: len(found) for kind, found in seen.items()},
            {
                "instances": 1,
                "volumes": 1,
                "addresses": 1,
                "security_groups": 1,
                "keys": 1,
                "snapshots": 0,
                "images": 0,
                "interfaces": 1,
            },
        )
        [instance] = seen["instances"]
        self.assertEqual((instance["tags"], instance["key"], instance["groups"]), ({"a": "b"}, "k", [group]))
        self.assertEqual(instance["public_ip"], seen["addresses"][0]["ip"])
        self.assertEqual(seen["security_groups"][0]["in"], ["tcp 22 192.0.2.1/32", "tcp 22 ::/0"])
        self.assertEqual(seen["security_groups"][0]["out"], ["all all 0.0.0.0/0"])
        self.assertEqual(seen["keys"][0]["tags"], {"a": "b"})
        self.assertEqual(seen["volumes"][0]["instance"], identity)

    def look(self) -> dict[str, list[Any]]:
        command = [str(DOUBLE.with_name("look")), self.double.ready["direct"], "--region", "eu-central-1"]
        document = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        return dict(document["regions"]["eu-central-1"])


if __name__ == "__main__":
    unittest.main()
