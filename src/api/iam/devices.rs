//! Devices for one-time codes.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::super::codec::{Blob, Timestamp};
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::asked::{self, asked, of_account, of_user};
use super::users::{UserShape, find_user};
use super::{Done, PageEnd, Paging, check_path, policy_name};
use crate::identity::MfaDevice;
use crate::operations::authorize::Weight::{Read, Write};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let iam = Service::Iam;
    all.add(
        iam,
        "CreateVirtualMFADevice",
        "iam:CreateVirtualMFADevice",
        Write,
        |call, input: &Create| asked::device(call, &input.name),
        create,
    )?;
    all.add(iam, "EnableMFADevice", "iam:EnableMFADevice", Write, of_user, enable)?;
    all.add(iam, "ResyncMFADevice", "iam:ResyncMFADevice", Write, of_user, resync)?;
    all.add(iam, "DeactivateMFADevice", "iam:DeactivateMFADevice", Write, of_user, deactivate)?;
    all.add(
        iam,
        "DeleteVirtualMFADevice",
        "iam:DeleteVirtualMFADevice",
        Write,
        |call, input: &Named| asked::device(call, &input.serial_number),
        delete,
    )?;
    all.add(iam, "ListMFADevices", "iam:ListMFADevices", Read, of_user, list)?;
    all.add(iam, "ListVirtualMFADevices", "iam:ListVirtualMFADevices", Read, of_account, list_virtual)
}

asked!(user: Codes);
asked!(maybe user: Named, List);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    #[serde(rename = "VirtualMFADeviceName")]
    name: String,
    path: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeviceShape {
    serial_number: String,
    #[serde(rename = "Base32StringSeed", skip_serializing_if = "Option::is_none")]
    seed: Option<Blob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enable_date: Option<Timestamp>,
}

#[derive(Serialize)]
struct One {
    #[serde(rename = "VirtualMFADevice")]
    device: DeviceShape,
}

fn create(call: &Call<'_>, input: Create) -> Result<One, ApiError> {
    check_path(input.path.as_deref())?;
    let name = policy_name(&input.name)?;
    let made = call.wait(call.host.identity().create_mfa_device(call.account(), &name))?;
    let seed = Some(Blob(made.seed.expose_secret().as_bytes().to_vec()));
    Ok(One { device: DeviceShape { serial_number: made.device.serial(), seed, user: None, enable_date: None } })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Codes {
    user_name: String,
    serial_number: String,
    authentication_code1: String,
    authentication_code2: String,
}

fn enable(call: &Call<'_>, input: Codes) -> Result<Done, ApiError> {
    let user = find_user(call, Some(&input.user_name))?;
    let codes = [input.authentication_code1.as_str(), input.authentication_code2.as_str()];
    let enabled = call.host.identity().enable_mfa_device(call.account(), &user.name, &input.serial_number, codes);
    call.wait(enabled)?;
    Ok(Done {})
}

fn resync(call: &Call<'_>, input: Codes) -> Result<Done, ApiError> {
    let user = find_user(call, Some(&input.user_name))?;
    let codes = [input.authentication_code1.as_str(), input.authentication_code2.as_str()];
    let found = call.host.identity().resync_mfa_device(call.account(), &user.name, &input.serial_number, codes);
    call.wait(found)?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    user_name: Option<String>,
    serial_number: String,
}

fn deactivate(call: &Call<'_>, input: Named) -> Result<Done, ApiError> {
    let user = find_user(call, input.user_name.as_deref())?;
    call.wait(call.host.identity().deactivate_mfa_device(call.account(), &user.name, &input.serial_number))?;
    Ok(Done {})
}

fn delete(call: &Call<'_>, input: Named) -> Result<Done, ApiError> {
    call.wait(call.host.identity().delete_mfa_device(call.account(), &input.serial_number))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    user_name: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OfUser {
    user_name: String,
    serial_number: String,
    enable_date: Timestamp,
}

#[derive(Serialize)]
struct Devices {
    #[serde(rename = "MFADevices")]
    devices: Vec<OfUser>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list(call: &Call<'_>, input: List) -> Result<Devices, ApiError> {
    let user = find_user(call, input.user_name.as_deref())?;
    let own = call.directory.mfa_devices(call.account()).filter(|device| device.user == Some(user.id));
    let (devices, end) = input.paging.page(own, |device| device.serial())?.split();
    let shape = |device: &MfaDevice| OfUser {
        user_name: user.name.to_string(),
        serial_number: device.serial(),
        enable_date: Timestamp(device.enabled_ms.unwrap_or_default()),
    };
    Ok(Devices { devices: devices.into_iter().map(shape).collect(), end })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListVirtual {
    assignment_status: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Serialize)]
struct VirtualDevices {
    #[serde(rename = "VirtualMFADevices")]
    devices: Vec<DeviceShape>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list_virtual(call: &Call<'_>, input: ListVirtual) -> Result<VirtualDevices, ApiError> {
    let is_asked = |device: &&MfaDevice| match input.assignment_status.as_deref() {
        Some("Assigned") => device.user.is_some(),
        Some("Unassigned") => device.user.is_none(),
        _ => true,
    };
    let all = call.directory.mfa_devices(call.account()).filter(is_asked);
    let (devices, end) = input.paging.page(all, |device| device.serial())?.split();
    let shape = |device: &MfaDevice| DeviceShape {
        serial_number: device.serial(),
        seed: None,
        user: device.user.and_then(|id| call.directory.user_by_id(id)).map(UserShape::of),
        enable_date: device.enabled_ms.map(Timestamp),
    };
    Ok(VirtualDevices { devices: devices.into_iter().map(shape).collect(), end })
}
