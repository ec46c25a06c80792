//! What Windows says of the encryption of a volume, by WMI and by the Shell. Both are COM and may never answer: call them
//! on a thread of their own, and do not wait for it for ever.

use windows::Win32::Foundation::PROPERTYKEY;
use windows::Win32::System::Com::{
    CLSCTX_INPROC_SERVER, COINIT_MULTITHREADED, CoCreateInstance, CoInitializeEx, CoSetProxyBlanket, CoUninitialize,
    EOAC_NONE, RPC_C_AUTHN_LEVEL_PKT_PRIVACY, RPC_C_IMP_LEVEL_IMPERSONATE,
};
use windows::Win32::System::Rpc::{RPC_C_AUTHN_WINNT, RPC_C_AUTHZ_NONE};
use windows::Win32::System::Variant::{VARIANT, VT_BSTR, VT_I4, VT_UI4};
use windows::Win32::System::Wmi::{
    IEnumWbemClassObject, IWbemClassObject, IWbemLocator, IWbemServices, WBEM_E_INVALID_NAMESPACE,
    WBEM_FLAG_CONNECT_USE_MAX_WAIT, WBEM_FLAG_FORWARD_ONLY, WBEM_FLAG_RETURN_IMMEDIATELY, WbemLocator,
};
use windows::Win32::UI::Shell::{IShellItem2, SHCreateItemFromParsingName};
use windows::core::{BSTR, GUID, HSTRING, IUnknown, PCWSTR, w};

/// Where WMI has BitLocker's class; it wants to be asked over an encrypted connection.
const NAMESPACE: &str = r"ROOT\CIMV2\Security\MicrosoftVolumeEncryption";
/// How long one step of an enumeration may take, in milliseconds.
const STEP: i32 = 5_000;
/// The most volumes that are looked at.
const MAX_VOLUMES: usize = 256;
/// `System.Volume.BitLockerProtection`.
const BITLOCKER_PROTECTION: PROPERTYKEY =
    PROPERTYKEY { fmtid: GUID::from_u128(0x2d152b40_ca39_40db_b2cc_573725b2fec5), pid: 100 };

/// What WMI says of a volume, as numbers.
///
/// Source: `Win32_EncryptableVolume` (Microsoft Learn).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encryption {
    /// `ProtectionStatus`.
    pub protection: u32,
    /// `ConversionStatus`, where the class has it.
    pub conversion: Option<u32>,
}

/// Asks WMI about the volume with the id `\\?\Volume{…}\`. Blocks, perhaps for ever.
///
/// # Errors
/// What failed, in words; also that the volume is not listed.
pub fn by_wmi(volume: &str) -> Result<Encryption, String> {
    let _com = Com::enter().map_err(|error| format!("COM: {error}"))?;
    let failed = |error: windows::core::Error| format!("WMI: {}", words(&error));
    let services = connect().map_err(|error| match error.code() {
        code if code.0 == WBEM_E_INVALID_NAMESPACE.0 => "WMI: this Windows has no BitLocker installed".to_owned(),
        _ => failed(error),
    })?;
    let volumes = query(&services).map_err(failed)?;
    for _ in 0..MAX_VOLUMES {
        let mut row = [const { None::<IWbemClassObject> }; 1];
        let mut returned = 0;
        // SAFETY: the row has room for the one object that is asked for.
        unsafe { volumes.Next(STEP, &mut row, &mut returned) }.ok().map_err(failed)?;
        let [Some(object)] = row else { break };
        if text(&object, w!("DeviceID")).is_some_and(|id| id.eq_ignore_ascii_case(volume)) {
            let protection = number(&object, w!("ProtectionStatus")).ok_or("WMI: it has no ProtectionStatus")?;
            return Ok(Encryption { protection, conversion: number(&object, w!("ConversionStatus")) });
        }
    }
    Err("WMI: the volume is not listed as one that BitLocker could encrypt".to_owned())
}

/// Asks the Shell about the volume that is mounted at `root`, `C:\`. Blocks, perhaps for ever.
///
/// # Errors
/// What failed, in words.
pub fn by_shell(root: &str) -> Result<u32, String> {
    let failed = |error: windows::core::Error| format!("the Shell: {}", words(&error));
    let _com = Com::enter().map_err(failed)?;
    // SAFETY: COM is initialised on this thread, and the name lives through the call.
    let item: IShellItem2 = unsafe { SHCreateItemFromParsingName(&HSTRING::from(root), None) }.map_err(failed)?;
    // SAFETY: the key is a constant.
    unsafe { item.GetUInt32(&BITLOCKER_PROTECTION) }.map_err(failed)
}

/// COM on this thread, until dropped: declared before what is made with it, so dropped after.
struct Com;

impl Com {
    fn enter() -> windows::core::Result<Self> {
        // SAFETY: nothing is passed; a thread may be initialised more than once.
        unsafe { CoInitializeEx(None, COINIT_MULTITHREADED) }.ok()?;
        Ok(Self)
    }
}

impl Drop for Com {
    fn drop(&mut self) {
        // SAFETY: it was initialised by this thread, once for each of these: a guard does not leave its function.
        unsafe { CoUninitialize() };
    }
}

fn connect() -> windows::core::Result<IWbemServices> {
    let none = BSTR::new();
    // SAFETY: COM is initialised on this thread; every text lives through its call.
    let services = unsafe {
        let locator: IWbemLocator = CoCreateInstance(&WbemLocator, None, CLSCTX_INPROC_SERVER)?;
        let wait = WBEM_FLAG_CONNECT_USE_MAX_WAIT.0;
        locator.ConnectServer(&BSTR::from(NAMESPACE), &none, &none, &none, wait, &none, None)?
    };
    encrypt((&services).into())?;
    Ok(services)
}

fn query(services: &IWbemServices) -> windows::core::Result<IEnumWbemClassObject> {
    let flags = WBEM_FLAG_FORWARD_ONLY | WBEM_FLAG_RETURN_IMMEDIATELY;
    let (language, text) = (BSTR::from("WQL"), BSTR::from("SELECT * FROM Win32_EncryptableVolume"));
    // SAFETY: the texts live through the call.
    let volumes = unsafe { services.ExecQuery(&language, &text, flags, None)? };
    encrypt((&volumes).into())?;
    Ok(volumes)
}

/// The namespace answers nobody over a connection that could be read, nor anybody whom it may not act as.
///
/// `proxy` is the very interface whose calls are to be so, by the name of its base: COM keeps this by interface, and what
/// QueryInterface gives for IUnknown is another one.
fn encrypt(proxy: &IUnknown) -> windows::core::Result<()> {
    // SAFETY: the interface is alive; no identity is passed.
    unsafe {
        CoSetProxyBlanket(
            proxy,
            RPC_C_AUTHN_WINNT,
            RPC_C_AUTHZ_NONE,
            None,
            RPC_C_AUTHN_LEVEL_PKT_PRIVACY,
            RPC_C_IMP_LEVEL_IMPERSONATE,
            None,
            EOAC_NONE,
        )
    }
}

fn property(object: &IWbemClassObject, name: PCWSTR) -> Option<VARIANT> {
    let mut value = VARIANT::default();
    // SAFETY: the name is a constant that ends in a NUL, and the value is there to be written to.
    unsafe { object.Get(name, 0, &mut value, None, None) }.ok()?;
    Some(value)
}

fn number(object: &IWbemClassObject, name: PCWSTR) -> Option<u32> {
    let value = property(object, name)?;
    // SAFETY: the part that is read is the one that the type beside it names; both are plain numbers.
    unsafe {
        let inner = &value.Anonymous.Anonymous;
        match inner.vt {
            VT_I4 => u32::try_from(inner.Anonymous.lVal).ok(),
            VT_UI4 => Some(inner.Anonymous.ulVal),
            _ => None,
        }
    }
}

fn text(object: &IWbemClassObject, name: PCWSTR) -> Option<String> {
    let value = property(object, name)?;
    // SAFETY: the part that is read is the one that the type beside it names; it is copied before the value is dropped.
    unsafe {
        let inner = &value.Anonymous.Anonymous;
        (inner.vt == VT_BSTR).then(|| inner.Anonymous.bstrVal.to_string())
    }
}

/// The system's words, on one line, or the number where it has none.
fn words(error: &windows::core::Error) -> String {
    let message = error.message();
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match message.is_empty() {
        true => format!("error {:#010x}", error.code().0),
        false => format!("{message} ({:#010x})", error.code().0),
    }
}
